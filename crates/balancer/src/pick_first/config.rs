//! The config of pick_first.

use serde::Deserialize;
use serde_json::Value;

use crate::{ConfigError, read_config};

/// `{"shuffleAddressList": bool}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Whether to try the endpoints in random order, heavier ones earlier (gRFC A113), so that many
    /// clients of one name spread over its servers.
    pub shuffle_address_list: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    #[serde(alias = "shuffle_address_list")]
    shuffle_address_list: Option<bool>,
}

impl Config {
    pub(super) fn parse(config: &Value) -> Result<Self, ConfigError> {
        let what = format!("pickfirst: unable to unmarshal LB policy config: {config}, error");
        let json: Json = read_config(config, &what)?;
        Ok(Self {
            shuffle_address_list: json.shuffle_address_list.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_of_configs() {
        for (config, shuffle) in [
            (json!({}), false),
            (json!(null), false),
            (json!({"shuffleAddressList": null}), false),
            (json!({"shuffleAddressList": true}), true),
            (json!({"shuffle_address_list": true}), true),
            (json!({"unknown": 1, "shuffleAddressList": false}), false),
        ] {
            let parsed = Config::parse(&config).map(|config| config.shuffle_address_list);
            assert_eq!(parsed, Ok(shuffle), "{config}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused_with_the_json_in_the_text() {
        let error = Config::parse(&json!({"shuffleAddressList": 666}))
            .unwrap_err()
            .to_string();
        let prefix = "pickfirst: unable to unmarshal LB policy config: \
                      {\"shuffleAddressList\":666}, error: ";
        assert!(error.starts_with(prefix), "{error}");
        assert!(Config::parse(&json!([true])).is_err());
        assert!(Config::parse(&json!("x")).is_err());
    }
}
