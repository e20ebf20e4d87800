//! Why a choice of policy cannot be used (gRFC A24), in the words of gRPC.

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
