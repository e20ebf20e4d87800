//! Policies by name, and how a service config chooses among them (gRFC A24).

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::pick_first::{self, PickFirst};
use crate::round_robin::RoundRobin;
use crate::{Choice, ConfigError, Level, Policy};

/// The policies that a channel knows, by name. Names are case-sensitive; of two policies with one name
/// the one registered last counts.
///
/// ```
/// use highball_balancer::Registry;
/// use serde_json::json;
///
/// let registry = Registry::builtin();
/// let choice = registry.choose(&json!([{"not_known": {}}, {"round_robin": {}}, {"pick_first": {}}]))?;
/// assert_eq!(choice.name(), "round_robin");
/// # Ok::<(), highball_balancer::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    /// Sorted by name.
    policies: Cow<'static, [(&'static str, Parse)]>,
}

type Parse = fn(&Value, &Registry) -> Result<Choice, ConfigError>;

const BUILTIN: [(&str, Parse); 2] = [
    (PickFirst::NAME, parse::<PickFirst>),
    (RoundRobin::NAME, parse::<RoundRobin>),
];

fn parse<P: Policy>(config: &Value, registry: &Registry) -> Result<Choice, ConfigError> {
    Ok(Choice::of::<P>(P::parse(config, registry)?))
}

impl Registry {
    /// No policy at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The policies of this crate.
    pub fn builtin() -> Self {
        Self {
            policies: Cow::Borrowed(&BUILTIN),
        }
    }

    /// Adds a policy under its name.
    pub fn register<P: Policy>(&mut self) -> &mut Self {
        let place = self.position(P::NAME);
        let (policies, policy) = (self.policies.to_mut(), (P::NAME, parse::<P> as Parse));
        match place {
            Ok(known) => policies[known] = policy,
            Err(place) => policies.insert(place, policy),
        }
        self
    }

    /// The names that are known, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.policies.iter().map(|(name, _)| *name)
    }

    /// Chooses by the `loadBalancingConfig` of a service config: the first policy of the list that is
    /// registered.
    ///
    /// # Errors
    ///
    /// Not a list of objects with one key each, none of them registered, or the chosen one refuses its
    /// config; there is no falling back to a later one.
    pub fn choose(&self, list: &Value) -> Result<Choice, ConfigError> {
        self.choose_at(Level::Channel, list)
    }

    /// The same for a list within the config of a policy; the errors are worded differently.
    pub fn choose_child(&self, list: &Value) -> Result<Choice, ConfigError> {
        self.choose_at(Level::Child, list)
    }

    /// Chooses by the deprecated `loadBalancingPolicy` of a service config: a name, with no config.
    ///
    /// # Errors
    ///
    /// The name is not registered (gRFC A21: the service config is invalid).
    pub fn choose_name(&self, name: &str) -> Result<Choice, ConfigError> {
        let Some(parse) = self.parser(name) else {
            return Err(ConfigError::UnknownPolicy(name.to_owned()));
        };
        self.parse(
            Level::Channel,
            name,
            parse,
            &Value::Object(Default::default()),
        )
    }

    /// The policy of a service config that chooses none: pick_first.
    pub fn default_choice(&self) -> Choice {
        self.choose_name(PickFirst::NAME)
            .unwrap_or_else(|_| Choice::of::<PickFirst>(pick_first::Config::default()))
    }

    fn parser(&self, name: &str) -> Option<Parse> {
        self.position(name).ok().map(|at| self.policies[at].1)
    }

    /// Where the policy of this name is, or would be.
    fn position(&self, name: &str) -> Result<usize, usize> {
        self.policies
            .binary_search_by_key(&name, |(known, _)| known)
    }

    fn choose_at(&self, level: Level, list: &Value) -> Result<Choice, ConfigError> {
        let Value::Array(entries) = list else {
            return Err(ConfigError::NotAList {
                level,
                list: list.to_string(),
            });
        };
        let mut names = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let (name, config) = only_pair(entry).ok_or_else(|| ConfigError::NotOnePolicy {
                level,
                index,
                entry: entry.to_string(),
            })?;
            if let Some(parse) = self.parser(name) {
                return self.parse(level, name, parse, config);
            }
            names.push(name);
        }
        Err(ConfigError::NoneSupported {
            level,
            found: match level {
                Level::Channel => list.to_string(),
                Level::Child => format!("[{}]", names.join(" ")),
            },
        })
    }

    fn parse(
        &self,
        level: Level,
        name: &str,
        parse: Parse,
        config: &Value,
    ) -> Result<Choice, ConfigError> {
        parse(config, self).map_err(|error| ConfigError::Policy {
            level,
            name: name.to_owned(),
            error: Box::new(error),
        })
    }
}

/// The key and value of an object that has just one.
fn only_pair(entry: &Value) -> Option<(&str, &Value)> {
    let mut pairs = entry.as_object()?.iter();
    let (name, config) = pairs.next()?;
    pairs.next().is_none().then_some((name.as_str(), config))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The error of choosing by a service config, and that of choosing within a policy's config.
    fn errors(list: &Value) -> [String; 2] {
        let registry = Registry::builtin();
        [registry.choose(list), registry.choose_child(list)]
            .map(|choice| choice.unwrap_err().to_string())
    }

    #[test]
    fn a24_the_first_registered_policy_decides() {
        let registry = Registry::builtin();
        for (list, name) in [
            (json!([{"pick_first": {}}]), "pick_first"),
            (
                json!([{"x": 7}, {"round_robin": {}}, {"pick_first": {}}]),
                "round_robin",
            ),
            // What comes after the one that decides is not looked at.
            (json!([{"round_robin": {}}, "rubbish"]), "round_robin"),
        ] {
            assert_eq!(registry.choose(&list).unwrap().name(), name, "{list}");
            assert_eq!(registry.choose_child(&list).unwrap().name(), name, "{list}");
        }
    }

    #[test]
    fn a24_an_entry_is_one_name_with_one_config() {
        for entry in [
            json!({"a": {}, "b": {}}),
            json!({}),
            json!("pick_first"),
            json!(null),
        ] {
            let list = json!([{"unknown": {}}, entry, {"pick_first": {}}]);
            let expected = [
                format!("expected a JSON struct with one entry; received entry {entry} at index 1"),
                format!(
                    "invalid loadBalancingConfig: entry 1 does not contain exactly 1 policy/config \
                     pair: {entry}"
                ),
            ];
            assert_eq!(errors(&list), expected);
        }
    }

    #[test]
    fn a24_a_refused_config_is_not_passed_over() {
        let list = json!([{"pick_first": {"shuffleAddressList": 666}}, {"round_robin": {}}]);
        let detail = "for policy \"pick_first\": pickfirst: unable to unmarshal LB policy config: \
                      {\"shuffleAddressList\":666}, error: \
                      invalid type: integer `666`, expected a boolean";
        let expected = [
            format!("error parsing config {detail}"),
            format!("error parsing loadBalancingConfig {detail}"),
        ];
        assert_eq!(errors(&list), expected);
    }

    #[test]
    fn a24_some_policy_must_be_known() {
        let list = json!([{"grpclb": {}}, {"xds": {}}]);
        let expected = [
            format!("no supported policies found in config: {list}"),
            "invalid loadBalancingConfig: no supported policies found in [grpclb xds]".to_owned(),
        ];
        assert_eq!(errors(&list), expected);
        assert_eq!(
            errors(&json!([]))[0],
            "no supported policies found in config: []"
        );
        assert_eq!(
            errors(&json!({}))[0],
            "expected a JSON array of policies; received {}"
        );
    }

    #[test]
    fn names_are_case_sensitive_and_a_deprecated_name_must_be_known() {
        let registry = Registry::builtin();
        assert!(registry.choose(&json!([{"Round_Robin": {}}])).is_err());
        assert_eq!(
            registry.choose_name("round_robin").unwrap().name(),
            "round_robin"
        );
        assert_eq!(
            registry.choose_name("ROUND_ROBIN").unwrap_err().to_string(),
            "invalid loadBalancingPolicy: no supported policy is called \"ROUND_ROBIN\""
        );
    }

    #[test]
    fn a_registry_is_a_value_and_the_default_is_always_there() {
        assert_eq!(Registry::empty().default_choice().name(), "pick_first");
        let mut one = Registry::empty();
        let other = one.clone();
        one.register::<RoundRobin>();
        assert_eq!(one.names().collect::<Vec<_>>(), ["round_robin"]);
        assert_eq!(other.names().count(), 0);
    }

    proptest! {
        /// A service config comes from the resolver: whatever stands in it, choosing answers.
        #[test]
        fn no_config_panics(list in json_values(), depth in 0..3_usize) {
            let wrap = |value| json!([{"unknown": {}}, {"pick_first": value}]);
            let list = (0..depth).fold(list, |value, _| wrap(value));
            let registry = Registry::builtin();
            let _ = (registry.choose(&list), registry.choose_child(&list));
        }
    }

    /// Values whose keys and texts are often ones that mean something here.
    fn json_values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            Just("pick_first".to_owned()),
            Just("round_robin".to_owned()),
            Just("shuffleAddressList".to_owned()),
            ".{0,4}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(text.clone(), inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn round_robin_takes_any_object_and_nothing_else() {
        let choose = |config: Value| Registry::builtin().choose(&json!([{"round_robin": config}]));
        for config in [json!({}), json!(null), json!({"unknown": [1]})] {
            assert!(choose(config).is_ok());
        }
        for config in [json!([]), json!("x"), json!(3)] {
            assert!(choose(config).is_err());
        }
    }
}
