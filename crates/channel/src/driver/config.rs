//! Which service config is in force, given what a resolver delivered (gRFC A21).
//!
//! | the resolver delivered | then |
//! |---|---|
//! | nothing, or configs are switched off | the default: the application's, else `{}` |
//! | a valid config | that one |
//! | an invalid one, and one is in force | the one in force; the resolver is told to try again |
//! | an invalid one, none in force, the application has a default | the default; likewise |
//! | an invalid one, none in force, no default | calls fail, saying what is wrong with it |
//!
//! In force is what an earlier resolution with endpoints brought. What a failed resolution fell back on
//! does not count.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use highball_balancer::Registry;
use highball_core::{Rejected, Status};

use crate::call::Throttle;
use crate::service_config::ServiceConfig;

/// The service configs of a channel. They outlive idle mode.
#[derive(Debug)]
pub(crate) struct Configs {
    policies: Registry,
    /// What holds where a resolver says nothing.
    default: Arc<ServiceConfig>,
    /// Whether `default` is the application's own.
    has_default: bool,
    /// Whether what resolvers deliver counts at all.
    enabled: bool,
    in_force: Option<Arc<ServiceConfig>>,
    /// Its tokens outlive the config that it came with.
    throttle: Option<Arc<Throttle>>,
}

/// What to do with a resolution.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Balance by this config.
    Use(Arc<ServiceConfig>),
    /// Balance by this config, and have the resolver try again.
    UseAndReject(Arc<ServiceConfig>, Rejected),
    /// There is no config to balance by: calls fail with this status.
    Fail(Status),
}

impl Configs {
    pub(crate) fn new(policies: Registry, default: Option<ServiceConfig>, enabled: bool) -> Self {
        let has_default = default.is_some();
        let default = default.unwrap_or_else(|| ServiceConfig::empty(&policies));
        let mut configs = Self {
            policies,
            default: Arc::new(default),
            has_default,
            enabled,
            in_force: None,
            throttle: None,
        };
        configs.default = configs.throttled(configs.default.clone());
        configs
    }

    /// The config for a resolution that brought endpoints.
    pub(crate) fn resolved(&mut self, delivered: Option<Result<String, Status>>) -> Verdict {
        let parsed = match delivered.filter(|_| self.enabled) {
            None => Ok(self.default.clone()),
            Some(Ok(json)) => self.parse(&json),
            Some(Err(status)) => Err(status),
        };
        match (parsed, &self.in_force) {
            (Ok(config), _) => {
                let is_default = Arc::ptr_eq(&config, &self.default);
                let config = self.throttled(config);
                if is_default {
                    self.default = config.clone();
                }
                self.in_force = Some(config.clone());
                Verdict::Use(config)
            }
            (Err(bad), Some(in_force)) => Verdict::UseAndReject(in_force.clone(), rejected(&bad)),
            (Err(bad), None) if self.has_default => {
                Verdict::UseAndReject(self.default.clone(), rejected(&bad))
            }
            (Err(bad), None) => Verdict::Fail(rejected(&bad).0),
        }
    }

    /// The config with the channel's throttle: a new config does not give tokens back.
    fn throttled(&mut self, config: Arc<ServiceConfig>) -> Arc<ServiceConfig> {
        let Some(limits) = config.retry_throttling() else {
            return config;
        };
        let throttle = match &self.throttle {
            Some(throttle) => throttle.adapt(*limits),
            None => Throttle::full(*limits),
        };
        self.throttle = Some(throttle.clone());
        match config.methods().throttle() {
            Some(own) if Arc::ptr_eq(own, &throttle) => config,
            _ => Arc::new(config.throttled_by(throttle)),
        }
    }

    /// A policy that panics over its config has refused it.
    fn parse(&self, json: &str) -> Result<Arc<ServiceConfig>, Status> {
        // Unwind safe: parsing changes nothing.
        catch_unwind(AssertUnwindSafe(|| {
            ServiceConfig::parse(json, &self.policies)
                .map(Arc::new)
                .map_err(|bad| Status::unavailable(bad.to_string()).with_source(bad))
        }))
        .unwrap_or_else(|panic| Err(super::panicked(&*panic)))
    }

    /// The config for a resolution that failed.
    pub(crate) fn unresolved(&self) -> Arc<ServiceConfig> {
        self.in_force
            .clone()
            .unwrap_or_else(|| self.default.clone())
    }
}

fn rejected(bad: &Status) -> Rejected {
    let text = format!("error parsing service config: {}", bad.message());
    tracing::warn!(target: "resolver", error = text, "bad service config");
    Rejected(Status::unavailable(text).with_source(bad.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_ROBIN: &str = r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#;
    const BAD: &str = r#"{"loadBalancingConfig":[{"no_such":{}}]}"#;

    fn configs(default: Option<&str>) -> Configs {
        let policies = Registry::builtin();
        let default = default.map(|json| ServiceConfig::parse(json, &policies).unwrap());
        Configs::new(policies, default, true)
    }

    fn json(text: &str) -> Option<Result<String, Status>> {
        Some(Ok(text.to_owned()))
    }

    fn policy(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Use(config) => config.policy().name(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a21_without_a_config_the_default_holds_even_if_one_came_before() {
        let mut configs = configs(None);
        assert_eq!(policy(configs.resolved(json(ROUND_ROBIN))), "round_robin");
        assert_eq!(policy(configs.resolved(None)), "pick_first");
    }

    #[test]
    fn a21_an_invalid_config_leaves_the_one_in_force() {
        let mut configs = configs(None);
        configs.resolved(json(ROUND_ROBIN));
        let Verdict::UseAndReject(config, rejected) = configs.resolved(json(BAD)) else {
            panic!("want the old config, and a rejection")
        };
        assert_eq!(config.policy().name(), "round_robin");
        assert!(
            rejected
                .0
                .message()
                .starts_with("error parsing service config: no supported")
        );
    }

    #[test]
    fn a21_an_invalid_first_config_falls_back_on_the_applications_default() {
        let mut configs = configs(Some(ROUND_ROBIN));
        let verdict = configs.resolved(json(BAD));
        assert!(
            matches!(verdict, Verdict::UseAndReject(config, _) if config.policy().name() == "round_robin")
        );
    }

    #[test]
    fn a21_an_invalid_first_config_without_a_default_fails_calls() {
        let mut configs = configs(None);
        let Verdict::Fail(status) = configs.resolved(json(BAD)) else {
            panic!("want a failure")
        };
        assert_eq!(
            status.to_string(),
            format!(
                "UNAVAILABLE: error parsing service config: no supported policies found in config: {}",
                r#"[{"no_such":{}}]"#
            )
        );
        assert!(matches!(
            configs.resolved(Some(Err(Status::unknown("no TXT")))),
            Verdict::Fail(_)
        ));
    }

    #[test]
    fn a21_what_a_failed_resolution_fell_back_on_is_not_in_force() {
        let mut configs = configs(None);
        configs.unresolved();
        assert!(matches!(configs.resolved(json(BAD)), Verdict::Fail(_)));
    }

    #[test]
    fn a_switched_off_config_is_not_even_parsed() {
        let mut configs = Configs::new(Registry::builtin(), None, false);
        assert_eq!(policy(configs.resolved(json(BAD))), "pick_first");
    }
}
