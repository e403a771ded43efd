//! Upcasters: pure steps that bring a stored event of an older version to the current one.
//!
//! Every reader goes through here, so rules and projectors only know current shapes. There are none yet: all events
//! are of version 1. A new version adds its step to `UPCASTERS` and keeps its golden sample for ever.

use serde_json::Value;

/// One step: `payload` of `event_type` from `version` to `version + 1`.
pub struct Upcaster {
    pub event_type: &'static str,
    pub version: u32,
    pub step: fn(Value) -> Value,
}

const UPCASTERS: &[Upcaster] = &[];

/// Applies every step from the stored version on; returns the version reached.
pub fn upcast(event_type: &str, version: &str, payload: Value) -> (String, Value) {
    upcast_by(UPCASTERS, event_type, version, payload)
}

fn upcast_by(steps: &[Upcaster], event_type: &str, version: &str, mut payload: Value) -> (String, Value) {
    let Ok(mut reached) = version.parse::<u32>() else {
        return (version.to_owned(), payload); // decoding says what is wrong with it
    };
    while let Some(upcaster) = steps.iter().find(|step| step.event_type == event_type && step.version == reached) {
        payload = (upcaster.step)(payload);
        reached += 1;
    }
    (reached.to_string(), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STEPS: &[Upcaster] = &[
        Upcaster { event_type: "Moved", version: 2, step: |_| json!({"Moved": {"to": "three"}}) },
        Upcaster { event_type: "Moved", version: 1, step: |_| json!({"Moved": {"to": "two"}}) },
    ];

    #[test]
    fn an_old_event_goes_through_every_step() {
        let (version, payload) = upcast_by(STEPS, "Moved", "1", json!({"Moved": {}}));
        assert_eq!((version.as_str(), payload), ("3", json!({"Moved": {"to": "three"}})));
    }

    #[test]
    fn a_current_event_and_another_type_stay_as_they_are() {
        assert_eq!(upcast_by(STEPS, "Moved", "3", json!(1)), ("3".to_owned(), json!(1)));
        assert_eq!(upcast_by(STEPS, "Stayed", "1", json!(1)), ("1".to_owned(), json!(1)));
    }
}
