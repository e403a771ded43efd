//! Values that are read when they are asked for, by their names.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Names with their values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What is told of a name, with all its labels.
type Named<T> = BTreeMap<&'static str, (&'static str, Family<Labels, T>)>;

/// Of one asking; several sources may add to the same name.
#[derive(Default)]
pub(super) struct Page {
    gauges: Named<Gauge<f64, AtomicU64>>,
    counters: Named<Counter>,
}

impl Page {
    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
    ) {
        let (_, family) = self.gauges.entry(name).or_insert_with(|| (help, Family::default()));
        family.get_or_create_owned(&owned(labels)).set(value);
    }

    /// `value`: of something that only grows while this process runs.
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: u64,
    ) {
        let (_, family) = self.counters.entry(name).or_insert_with(|| (help, Family::default()));
        family.get_or_create_owned(&owned(labels)).inc_by(value);
    }

    pub(super) fn into_registry(self) -> Registry {
        let mut registry = Registry::with_prefix("starscreen");
        for (name, (help, family)) in self.gauges {
            registry.register(name, help, family);
        }
        for (name, (help, family)) in self.counters {
            registry.register(name, help, family);
        }
        registry
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
