//! A service config: how the owner of a service wants its clients to behave, as JSON.
//!
//! ```text
//!   {"loadBalancingConfig": [...],     which policy, and its own config      ─► Choice
//!    "methodConfig": [...],            time-outs, limits, retries by method  ─► MethodConfigs
//!    "retryThrottling": {...},         when to stop retrying altogether      ─► RetryThrottling
//!    "healthCheckConfig": {...},       which service must be SERVING
//!    "connectionScaling": {...}}       how many connections an address may have
//! ```
//!
//! Parsing happens once, when a resolver brings the text; calls only look up what was parsed. One invalid
//! known field makes the whole config invalid (gRFC A21); unknown fields are ignored. Keys are lowerCamelCase
//! exactly, and `null` is the same as leaving a field out.
//!
//! This is the third stop of the reading path: JSON becomes a choice of policy. Exercise: which error does
//! `{"methodConfig":[{"name":[{"method":"M"}]}]}` give, and why must it be one?

mod method;
mod retry;

use std::sync::Arc;

use highball_balancer::{Choice, ConfigError, Registry};
use serde::Deserialize;
use serde_json::Value;

use crate::call::Throttle;

pub use method::MethodConfig;
pub(crate) use method::MethodConfigs;
pub use retry::{BadRetryPolicy, HedgingPolicy, RetryPolicy, RetryThrottling};

/// A parsed and validated service config.
///
/// ```
/// use std::time::Duration;
/// use highball_channel::{ServiceConfig, policy::Registry};
///
/// let json = r#"{"loadBalancingConfig": [{"round_robin": {}}],
///                "methodConfig": [{"name": [{}], "timeout": "1.5s"}]}"#;
/// let config = ServiceConfig::parse(json, &Registry::builtin())?;
/// assert_eq!(config.policy().name(), "round_robin");
/// assert_eq!(config.method("/pkg.Svc/M").timeout, Some(Duration::from_millis(1500)));
/// # Ok::<(), highball_channel::BadServiceConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    policy: Choice,
    methods: Arc<MethodConfigs>,
    retry_throttling: Option<RetryThrottling>,
    health_service: Option<String>,
    connections_per_subchannel: Option<u32>,
}

/// Why a service config was refused. The whole config is refused with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadServiceConfig {
    /// The text is empty.
    #[error("no JSON service config provided")]
    Empty,
    /// The text is not JSON, or a field has the wrong type.
    #[error("invalid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// No usable policy is named, or the policy refused its config.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// A `methodConfig` names a method without its service.
    #[error("cannot combine empty 'service' and non-empty 'method'")]
    MethodWithoutService,
    /// Two `methodConfig` entries name the same method, service or default.
    #[error("duplicated name {0:?}")]
    DuplicateName(String),
    /// A duration is malformed, or out of protobuf's range.
    #[error("{field}: {source}")]
    Duration {
        /// The field that holds it.
        field: &'static str,
        /// What is wrong with it.
        source: highball_core::BadDuration,
    },
    /// A retry, hedging or throttling field is out of its range.
    #[error(transparent)]
    Retry(#[from] BadRetryPolicy),
    /// `connectionScaling.maxConnectionsPerSubchannel` is zero.
    #[error("maxConnectionsPerSubchannel must be at least 1")]
    NoConnections,
}

/// The fields as JSON has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    load_balancing_config: Option<Value>,
    load_balancing_policy: Option<String>,
    method_config: Option<Vec<method::Fields>>,
    retry_throttling: Option<retry::ThrottlingFields>,
    health_check_config: Option<HealthFields>,
    connection_scaling: Option<ScalingFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthFields {
    service_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScalingFields {
    max_connections_per_subchannel: Option<u32>,
}

impl ServiceConfig {
    /// Reads and validates a config; `policies` are the policies that it may name.
    pub fn parse(json: &str, policies: &Registry) -> Result<Self, BadServiceConfig> {
        if json.trim().is_empty() {
            return Err(BadServiceConfig::Empty);
        }
        let fields: Fields = serde_json::from_str(json)?;
        let connections_per_subchannel = fields
            .connection_scaling
            .and_then(|scaling| scaling.max_connections_per_subchannel);
        if connections_per_subchannel == Some(0) {
            return Err(BadServiceConfig::NoConnections);
        }
        let policy = choose(
            fields.load_balancing_config,
            fields.load_balancing_policy,
            policies,
        )?;
        let methods = MethodConfigs::parse(fields.method_config.unwrap_or_default())?;
        Ok(Self {
            methods: methods.balanced_by(policy.name()).into(),
            policy,
            retry_throttling: fields.retry_throttling.map(TryInto::try_into).transpose()?,
            health_service: fields
                .health_check_config
                .and_then(|health| health.service_name),
            connections_per_subchannel,
        })
    }

    /// The config of a channel that was given none, as if it were `{}`: pick_first, and no limits.
    pub fn empty(policies: &Registry) -> Self {
        let policy = policies.default_choice();
        Self {
            methods: MethodConfigs::default().balanced_by(policy.name()).into(),
            policy,
            retry_throttling: None,
            health_service: None,
            connections_per_subchannel: None,
        }
    }

    /// The policy to balance with, and its config.
    pub fn policy(&self) -> &Choice {
        &self.policy
    }

    /// What holds for the method at `path` (`/pkg.Service/Method`): its own entry, else its service's,
    /// else the default's, else nothing.
    pub fn method(&self, path: &str) -> &MethodConfig {
        self.methods.find(path)
    }

    /// What holds for all methods, to share with calls.
    pub(crate) fn methods(&self) -> &Arc<MethodConfigs> {
        &self.methods
    }

    /// The same, with this throttle for what [`retry_throttling`](Self::retry_throttling) says.
    pub(crate) fn throttled_by(&self, throttle: Arc<Throttle>) -> Self {
        Self {
            methods: Arc::new(self.methods.throttled_by(throttle)),
            ..self.clone()
        }
    }

    /// When to stop retrying, if that is limited.
    pub fn retry_throttling(&self) -> Option<&RetryThrottling> {
        self.retry_throttling.as_ref()
    }

    /// The service whose health is watched on each connection; `None` means that none is. An empty name
    /// that was given explicitly stands for the whole server (gRFC A17).
    pub fn health_service(&self) -> Option<&str> {
        self.health_service.as_deref()
    }

    /// How many connections a subchannel may have (gRFC A105), where that was given. The channel has a
    /// [cap](crate::ChannelBuilder::max_connections_per_subchannel) of its own.
    pub fn connections_per_subchannel(&self) -> Option<u32> {
        self.connections_per_subchannel
    }
}

/// gRFC A24: the list if there is one, else the deprecated name, else pick_first.
fn choose(
    list: Option<Value>,
    name: Option<String>,
    policies: &Registry,
) -> Result<Choice, ConfigError> {
    match (list, name) {
        (Some(list), _) => policies.choose(&list),
        (None, Some(name)) => policies.choose_name(&name),
        (None, None) => Ok(policies.default_choice()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<ServiceConfig, BadServiceConfig> {
        ServiceConfig::parse(json, &Registry::builtin())
    }

    fn refusal(json: &str) -> String {
        parse(json).expect_err(json).to_string()
    }

    #[test]
    fn the_empty_config_chooses_pick_first_and_limits_nothing() {
        let config = parse("{}").unwrap();
        assert_eq!(config.policy().name(), "pick_first");
        assert_eq!(config.method("/a.B/C"), &MethodConfig::default());
        assert_eq!(config.health_service(), None);
    }

    #[test]
    fn an_empty_text_is_an_error() {
        assert_eq!(refusal(""), "no JSON service config provided");
        assert_eq!(refusal(" \n"), "no JSON service config provided");
    }

    #[test]
    fn the_first_registered_policy_of_the_list_is_chosen() {
        let config = parse(
            r#"{"loadBalancingConfig":[{"grpclb":{}},{"round_robin":{}},{"pick_first":{}}],
                "loadBalancingPolicy":"pick_first"}"#,
        );
        assert_eq!(config.unwrap().policy().name(), "round_robin");
    }

    #[test]
    fn a_list_without_a_registered_policy_is_refused() {
        let text = refusal(r#"{"loadBalancingConfig":[{"grpclb":{}}]}"#);
        assert!(
            text.starts_with("no supported policies found in config:"),
            "{text}"
        );
    }

    #[test]
    fn an_entry_with_two_policies_is_refused() {
        let text = refusal(r#"{"loadBalancingConfig":[{"round_robin":{},"pick_first":{}}]}"#);
        assert!(
            text.starts_with("expected a JSON struct with one entry; received entry"),
            "{text}"
        );
        assert!(text.ends_with("at index 0"), "{text}");
    }

    #[test]
    fn a_policy_that_refuses_its_config_refuses_the_whole() {
        let text = refusal(
            r#"{"loadBalancingConfig":[{"pick_first":{"shuffleAddressList":666}},{"round_robin":{}}]}"#,
        );
        assert!(
            text.starts_with("error parsing config for policy \"pick_first\":"),
            "{text}"
        );
    }

    #[test]
    fn a6_throttling_is_looked_at_where_there_are_no_methods_too() {
        assert!(parse(r#"{"retryThrottling":{"maxTokens":10,"tokenRatio":0.1}}"#).is_ok());
        let text = refusal(r#"{"retryThrottling":{"maxTokens":1001,"tokenRatio":0.1}}"#);
        let why = "maxTokens (1001) out of range (0, 1000]";
        assert!(text.contains(why), "{text}");
    }

    #[test]
    fn the_deprecated_name_is_used_and_an_unknown_one_is_refused() {
        let config = parse(r#"{"loadBalancingPolicy":"round_robin"}"#).unwrap();
        assert_eq!(config.policy().name(), "round_robin");
        assert!(parse(r#"{"loadBalancingPolicy":"no_such"}"#).is_err());
    }

    #[test]
    fn a17_only_a_given_name_switches_health_checking_on() {
        for (json, service) in [
            (r#"{"healthCheckConfig":{}}"#, None),
            (r#"{"healthCheckConfig":{"serviceName":null}}"#, None),
            (r#"{"healthCheckConfig":{"serviceName":""}}"#, Some("")),
            (
                r#"{"healthCheckConfig":{"serviceName":"pkg.Svc"}}"#,
                Some("pkg.Svc"),
            ),
        ] {
            assert_eq!(parse(json).unwrap().health_service(), service, "{json}");
        }
    }

    #[test]
    fn a105_the_connections_of_a_subchannel_are_as_many_as_are_given() {
        for (json, connections) in [
            (r"{}", None),
            (r#"{"connectionScaling":{}}"#, None),
            (
                r#"{"connectionScaling":{"maxConnectionsPerSubchannel":null}}"#,
                None,
            ),
            (
                r#"{"connectionScaling":{"maxConnectionsPerSubchannel":3}}"#,
                Some(3),
            ),
            // The cap is the channel's.
            (
                r#"{"connectionScaling":{"maxConnectionsPerSubchannel":4294967295}}"#,
                Some(u32::MAX),
            ),
        ] {
            let config = parse(json).unwrap();
            assert_eq!(config.connections_per_subchannel(), connections, "{json}");
        }
    }

    #[test]
    fn unknown_fields_and_wrong_capitals_are_ignored() {
        let config = parse(r#"{"future":1,"MethodConfig":7}"#).unwrap();
        assert_eq!(config.method("/a.B/C"), &MethodConfig::default());
    }

    #[test]
    fn a_wrong_type_is_refused() {
        for json in [
            "fall",
            "[]",
            r#"{"methodConfig":[{"name":[{}],"waitForReady":"yes"}]}"#,
            r#"{"methodConfig":[{"name":[{}],"maxRequestMessageBytes":-1}]}"#,
            r#"{"loadBalancingConfig":{}}"#,
            r#"{"connectionScaling":{"maxConnectionsPerSubchannel":-1}}"#,
            r#"{"connectionScaling":{"maxConnectionsPerSubchannel":4294967296}}"#,
            r#"{"connectionScaling":3}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
        assert_eq!(
            refusal(r#"{"connectionScaling":{"maxConnectionsPerSubchannel":0}}"#),
            "maxConnectionsPerSubchannel must be at least 1"
        );
    }

    #[test]
    fn a_bad_timeout_names_its_field() {
        let text = refusal(r#"{"methodConfig":[{"name":[{}],"timeout":"3c"}]}"#);
        assert!(
            text.starts_with("timeout: malformed duration \"3c\""),
            "{text}"
        );
    }

    #[test]
    fn a_negative_timeout_is_ignored_and_zero_is_kept() {
        let timeout = |text: &str| {
            let json = format!(r#"{{"methodConfig":[{{"name":[{{}}],"timeout":"{text}"}}]}}"#);
            parse(&json).unwrap().method("/a.B/C").timeout
        };
        assert_eq!(timeout("-1s"), None);
        assert_eq!(timeout("0s"), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn arbitrary_values_in_known_fields_never_panic(
            field in "(loadBalancingConfig|methodConfig|retryThrottling|healthCheckConfig|connectionScaling)",
            value in "(null|[0-9]{1,30}|-1|\"[a-z]{0,5}\"|\\[\\]|\\{\\}|\\[\\{\"name\":\\[\\{\\}\\]\\}\\])",
        ) {
            let _ = parse(&format!("{{\"{field}\":{value}}}"));
        }
    }
}
