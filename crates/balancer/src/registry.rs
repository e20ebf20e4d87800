//! Policies by name, and how a service config chooses among them (gRFC A24).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::pick_first::{self, PickFirst};
use crate::round_robin::RoundRobin;
use crate::{Choice, Policy};

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
    policies: BTreeMap<&'static str, Parse>,
}

type Parse = fn(&Value, &Registry) -> Result<Choice, ConfigError>;

impl Registry {
    /// No policy at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The policies of this crate.
    pub fn builtin() -> Self {
        let mut registry = Self::empty();
        registry.register::<PickFirst>().register::<RoundRobin>();
        registry
    }

    /// Adds a policy under its name.
    pub fn register<P: Policy>(&mut self) -> &mut Self {
        let parse: Parse = |config, registry| Ok(Choice::of::<P>(P::parse(config, registry)?));
        self.policies.insert(P::NAME, parse);
        self
    }

    /// The names that are known, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.policies.keys().copied()
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
        let Some(parse) = self.policies.get(name) else {
            return Err(ConfigError::UnknownPolicy(name.to_owned()));
        };
        self.parse(
            Level::Channel,
            name,
            *parse,
            &Value::Object(Default::default()),
        )
    }

    /// The policy of a service config that chooses none: pick_first.
    pub fn default_choice(&self) -> Choice {
        self.choose_name(PickFirst::NAME)
            .unwrap_or_else(|_| Choice::of::<PickFirst>(pick_first::Config::default()))
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
            if let Some(parse) = self.policies.get(name) {
                return self.parse(level, name, *parse, config);
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

/// Whose choice of policy a config error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The service config's.
    Channel,
    /// A policy's, of its child.
    Child,
}

/// A choice of policy that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Not a JSON array.
    #[error("{}expected a JSON array of policies; received {list}", prefix(level))]
    NotAList {
        /// Whose choice.
        level: Level,
        /// What stands there instead, as JSON.
        list: String,
    },
    /// An entry of the list is not an object with one key.
    #[error("{}", not_one_policy(level, index, entry))]
    NotOnePolicy {
        /// Whose choice.
        level: Level,
        /// Which entry, from 0.
        index: usize,
        /// The entry, as JSON.
        entry: String,
    },
    /// The chosen policy refuses its config.
    #[error("{} for policy {name:?}: {error}", parsing(level))]
    Policy {
        /// Whose choice.
        level: Level,
        /// The policy.
        name: String,
        /// What it says.
        #[source]
        error: Box<ConfigError>,
    },
    /// No policy of the list is registered.
    #[error("{}", none_supported(level, found))]
    NoneSupported {
        /// Whose choice.
        level: Level,
        /// What was asked for.
        found: String,
    },
    /// The name in `loadBalancingPolicy` is not registered.
    #[error("invalid loadBalancingPolicy: no supported policy is called {0:?}")]
    UnknownPolicy(String),
    /// A policy's own words on its config.
    #[error("{0}")]
    Invalid(String),
}

fn prefix(level: &Level) -> &'static str {
    match level {
        Level::Channel => "",
        Level::Child => "invalid loadBalancingConfig: ",
    }
}

fn parsing(level: &Level) -> &'static str {
    match level {
        Level::Channel => "error parsing config",
        Level::Child => "error parsing loadBalancingConfig",
    }
}

fn not_one_policy(level: &Level, index: &usize, entry: &str) -> String {
    match level {
        Level::Channel => format!(
            "expected a JSON struct with one entry; received entry {entry} at index {index}"
        ),
        Level::Child => format!(
            "invalid loadBalancingConfig: entry {index} does not contain exactly 1 policy/config pair: {entry}"
        ),
    }
}

fn none_supported(level: &Level, found: &str) -> String {
    match level {
        Level::Channel => format!("no supported policies found in config: {found}"),
        Level::Child => {
            format!("invalid loadBalancingConfig: no supported policies found in {found}")
        }
    }
}
