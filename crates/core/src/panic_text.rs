//! What somebody's code panicked with, for the status that comes of it.

use std::any::Any;

/// The text of a panic, as `catch_unwind` or a task's end hands it over.
///
/// ```
/// use highball_core::panic_text;
///
/// let payload = std::panic::catch_unwind(|| panic!("off the rails")).unwrap_err();
/// assert_eq!(panic_text(&*payload), "off the rails");
/// ```
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_has_a_text_of_either_kind_or_none() {
        assert_eq!(panic_text(&"borrowed"), "borrowed");
        assert_eq!(panic_text(&"owned".to_owned()), "owned");
        assert_eq!(panic_text(&7), "no message");
    }
}
