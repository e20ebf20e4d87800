//! Reading a policy's config.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ConfigError;

/// Reads the JSON object that is a policy's config; `null` is the same as `{}`.
///
/// By protobuf's JSON rules, which service configs follow, unknown fields are ignored and a `null` field is
/// a missing one: make the fields of `T` options.
///
/// ```
/// use highball_balancer::read_config;
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Deserialize)]
/// #[serde(rename_all = "camelCase")]
/// struct Config {
///     choose_second: Option<u32>,
/// }
///
/// let config: Config = read_config(&json!({"chooseSecond": 5}), "my policy")?;
/// assert_eq!(config.choose_second, Some(5));
///
/// let error = read_config::<Config>(&json!([5]), "my policy").err().map(|error| error.to_string());
/// assert_eq!(error.as_deref(), Some("my policy: expected a JSON object, received [5]"));
/// # Ok::<(), highball_balancer::ConfigError>(())
/// ```
///
/// # Errors
///
/// Not an object, or a field of the wrong type: `what`, then what is wrong.
pub fn read_config<T: DeserializeOwned>(config: &Value, what: &str) -> Result<T, ConfigError> {
    let empty = Value::Object(serde_json::Map::new());
    let object = if config.is_null() { &empty } else { config };
    if !object.is_object() {
        let text = format!("{what}: expected a JSON object, received {config}");
        return Err(ConfigError::Invalid(text));
    }
    T::deserialize(object).map_err(|error| ConfigError::Invalid(format!("{what}: {error}")))
}
