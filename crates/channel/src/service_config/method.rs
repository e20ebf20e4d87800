//! What a service config says about one method, one service, or everything else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use highball_core::parse_json_duration;
use serde::Deserialize;

use crate::call::Throttle;

use super::retry::{HedgingFields, RetryFields};
use super::{BadRetryPolicy, BadServiceConfig, HedgingPolicy, RetryPolicy};

/// What holds for the calls of a method, unless the call itself asks for something stricter.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodConfig {
    /// Whether calls wait for a connection rather than fail; a call's own choice wins.
    pub wait_for_ready: Option<bool>,
    /// The longest a call may take; a call's own shorter time-out wins. Zero expires at once.
    pub timeout: Option<Duration>,
    /// The largest request message, in bytes, before compression is undone.
    pub max_request_bytes: Option<usize>,
    /// The largest response message, in bytes.
    pub max_response_bytes: Option<usize>,
    /// When and how often to retry (gRFC A6).
    pub retry: Option<Arc<RetryPolicy>>,
    /// Whether to send several attempts without waiting for the first to fail (gRFC A6). Excludes `retry`.
    pub hedging: Option<Arc<HedgingPolicy>>,
}

/// What holds where nothing is said.
static NOTHING: MethodConfig = MethodConfig {
    wait_for_ready: None,
    timeout: None,
    max_request_bytes: None,
    max_response_bytes: None,
    retry: None,
    hedging: None,
};

/// The `methodConfig` list, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodConfigs {
    /// Keys: `/pkg.Svc/M` for a method, `/pkg.Svc/` for a service, empty for everything else.
    by_name: HashMap<String, MethodConfig>,
    /// The channel's, for the calls of all methods.
    throttle: Option<Arc<Throttle>>,
    /// The balancing policy of the same config, for calls that fail to tell of.
    policy: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    name: Option<Vec<NameFields>>,
    wait_for_ready: Option<bool>,
    timeout: Option<String>,
    max_request_message_bytes: Option<u64>,
    max_response_message_bytes: Option<u64>,
    retry_policy: Option<RetryFields>,
    hedging_policy: Option<HedgingFields>,
}

#[derive(Deserialize)]
struct NameFields {
    service: Option<String>,
    method: Option<String>,
}

impl MethodConfigs {
    pub(super) fn parse(entries: Vec<Fields>) -> Result<Self, BadServiceConfig> {
        let mut configs = Self::default();
        for mut entry in entries {
            let names = entry.name.take().unwrap_or_default();
            let config = MethodConfig::try_from(entry)?;
            for name in names {
                let key = name.key()?;
                if configs.by_name.contains_key(&key) {
                    return Err(BadServiceConfig::DuplicateName(key));
                }
                configs.by_name.insert(key, config.clone());
            }
        }
        Ok(configs)
    }

    /// The same, with this throttle.
    pub(super) fn throttled_by(&self, throttle: Arc<Throttle>) -> Self {
        Self {
            throttle: Some(throttle),
            ..self.clone()
        }
    }

    /// The same, beside this balancing policy.
    pub(super) fn balanced_by(self, policy: &'static str) -> Self {
        Self {
            policy: Some(policy),
            ..self
        }
    }

    /// The name of the balancing policy, if there is a config at all.
    pub(crate) fn policy(&self) -> Option<&'static str> {
        self.policy
    }

    /// What limits the retries of a channel that is configured like this.
    pub(crate) fn throttle(&self) -> Option<&Arc<Throttle>> {
        self.throttle.as_ref()
    }

    /// The method's own entry, else its service's, else the default one, else nothing.
    pub(crate) fn find(&self, path: &str) -> &MethodConfig {
        if self.by_name.is_empty() {
            return &NOTHING;
        }
        let service = path.rfind('/').map_or("", |slash| &path[..=slash]);
        [path, service, ""]
            .into_iter()
            .find_map(|key| self.by_name.get(key))
            .unwrap_or(&NOTHING)
    }
}

impl NameFields {
    fn key(self) -> Result<String, BadServiceConfig> {
        match (
            self.service.unwrap_or_default().as_str(),
            self.method.unwrap_or_default().as_str(),
        ) {
            ("", "") => Ok(String::new()),
            ("", _) => Err(BadServiceConfig::MethodWithoutService),
            (service, method) => Ok(format!("/{service}/{method}")),
        }
    }
}

impl TryFrom<Fields> for MethodConfig {
    type Error = BadServiceConfig;

    fn try_from(fields: Fields) -> Result<Self, BadServiceConfig> {
        if fields.retry_policy.is_some() && fields.hedging_policy.is_some() {
            return Err(BadRetryPolicy::Both.into());
        }
        let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self {
            wait_for_ready: fields.wait_for_ready,
            timeout: timeout(fields.timeout)?,
            max_request_bytes: fields.max_request_message_bytes.map(bytes),
            max_response_bytes: fields.max_response_message_bytes.map(bytes),
            retry: fields
                .retry_policy
                .map(|fields| fields.try_into().map(Arc::new))
                .transpose()?,
            hedging: fields
                .hedging_policy
                .map(|fields| fields.try_into().map(Arc::new))
                .transpose()?,
        })
    }
}

/// A negative time-out is ignored.
fn timeout(text: Option<String>) -> Result<Option<Duration>, BadServiceConfig> {
    let Some(text) = text else { return Ok(None) };
    let (negative, timeout) =
        parse_json_duration(&text).map_err(|source| BadServiceConfig::Duration {
            field: "timeout",
            source,
        })?;
    Ok((!negative || timeout.is_zero()).then_some(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<MethodConfigs, BadServiceConfig> {
        MethodConfigs::parse(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_most_specific_name_wins() {
        let configs = parse(
            r#"[{"name":[{"service":"a.B","method":"C"}],"timeout":"1s"},
                {"name":[{"service":"a.B"}],"timeout":"2s"},
                {"name":[{"service":""}],"timeout":"3s"}]"#,
        )
        .unwrap();
        let seconds = |path| configs.find(path).timeout.unwrap().as_secs();
        assert_eq!(
            [
                seconds("/a.B/C"),
                seconds("/a.B/D"),
                seconds("/x.Y/C"),
                seconds("odd")
            ],
            [1, 2, 3, 3]
        );
    }

    #[test]
    fn an_entry_without_names_is_ignored() {
        assert_eq!(
            parse(r#"[{"timeout":"1s"}]"#).unwrap().find("/a.B/C"),
            &MethodConfig::default()
        );
    }

    #[test]
    fn a_method_without_a_service_is_refused() {
        let error = parse(r#"[{"name":[{"service":"","method":"Bar"}]}]"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot combine empty 'service' and non-empty 'method'"
        );
    }

    #[test]
    fn a_name_that_comes_twice_is_refused() {
        for json in [
            r#"[{"name":[{},{"service":""}]}]"#,
            r#"[{"name":[{"service":"a.B"}]},{"name":[{"service":"a.B","method":""}]}]"#,
        ] {
            assert!(
                parse(json)
                    .unwrap_err()
                    .to_string()
                    .starts_with("duplicated name"),
                "{json}"
            );
        }
    }

    #[test]
    fn every_field_arrives() {
        let configs = parse(
            r#"[{"name":[{}],"waitForReady":true,"timeout":"0.5s",
                 "maxRequestMessageBytes":1024,"maxResponseMessageBytes":2048}]"#,
        )
        .unwrap();
        let config = configs.find("/any/thing");
        assert_eq!(config.wait_for_ready, Some(true));
        assert_eq!(config.timeout, Some(Duration::from_millis(500)));
        assert_eq!(
            (config.max_request_bytes, config.max_response_bytes),
            (Some(1024), Some(2048))
        );
    }
}
