//! A circuit breaker: while the model is down, calls are answered here, and one try a pause finds out when it is back.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use starscreen_commands::ports::LlmError;

/// Failures in a row before calls are held back.
const FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(10);
/// A wish for a shorter pause than this is heard, but after some failures in a row not believed.
const SHORTEST_WISH: Duration = Duration::from_secs(1);
/// What a call is told that comes while another one tries.
const PROBE_WAIT: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// Why the last call failed.
    reason: String,
    /// While set, no call passes; once it is over, one may try.
    open_until: Option<Instant>,
    probing: bool,
}

/// Leave for one call. Dropped without a verdict, as when the call is cut, it changes nothing.
#[must_use]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    /// # Errors
    /// [`LlmError::Held`] with the time to wait while calls are held back.
    pub fn admit(&self) -> Result<Permit<'_>, LlmError> {
        let mut state = self.state();
        let Some(until) = state.open_until else { return Ok(Permit { breaker: self, is_probe: false }) };
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() && !state.probing {
            state.probing = true;
            return Ok(Permit { breaker: self, is_probe: true });
        }
        Err(state.held(rest.max(PROBE_WAIT)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held(&self, wait: Duration) -> LlmError {
        LlmError::Held { reason: self.reason.clone(), wait, is_down: self.failures >= FAILURES }
    }
}

impl Permit<'_> {
    /// The server works, whatever it said.
    pub fn succeeded(self) {
        let mut state = self.breaker.state();
        *state = State { probing: state.probing, ..State::default() };
    }

    /// What the caller is told: calls may be held back now. What the server asked for holds at once and for all.
    pub fn failed(self, reason: String, asked: Option<Duration>) -> LlmError {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        state.reason.clone_from(&reason);
        let is_down = state.failures >= FAILURES;
        let pause = asked.filter(|asked| !is_down || *asked >= SHORTEST_WISH).or(is_down.then_some(PAUSE));
        let now = Instant::now();
        if let Some(until) = pause.map(|pause| now + pause) {
            state.open_until = Some(state.open_until.map_or(until, |open_until| open_until.max(until)));
        }
        let rest = state.open_until.map(|until| until.saturating_duration_since(now)).filter(|rest| !rest.is_zero());
        match rest {
            Some(rest) => state.held(rest),
            None => LlmError::Unavailable { reason, retry_after: asked },
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(breaker: &Breaker) -> Option<Duration> {
        breaker.admit().err().and_then(wait)
    }

    fn wait(error: LlmError) -> Option<Duration> {
        match error {
            LlmError::Held { wait, .. } => Some(wait),
            LlmError::Unavailable { .. } => None,
            other => panic!("{other}"),
        }
    }

    fn failed(permit: Permit<'_>, asked: Option<Duration>) -> Option<Duration> {
        wait(permit.failed("its server answered 503".to_owned(), asked))
    }

    /// As if the pause were over.
    fn skip_pause(breaker: &Breaker) {
        breaker.state().open_until = Some(Instant::now());
    }

    fn broken() -> Breaker {
        let breaker = Breaker::default();
        for _ in 1..FAILURES {
            assert_eq!(failed(breaker.admit().unwrap(), None), None);
        }
        assert!(failed(breaker.admit().unwrap(), None).is_some());
        breaker
    }

    #[test]
    fn it_opens_after_some_failures_in_a_row_and_not_before() {
        let rest = held(&broken()).unwrap();
        assert!(rest <= PAUSE && rest > PAUSE / 2, "{rest:?}");
        let breaker = Breaker::default();
        for _ in 0..FAILURES * 2 {
            let _ = failed(breaker.admit().unwrap(), None);
            breaker.admit().unwrap().succeeded();
        }
        assert_eq!(held(&breaker), None);
    }

    #[test]
    fn it_says_what_is_wrong_and_whether_the_server_is_down_or_only_busy() {
        let Err(down) = broken().admit() else { panic!("it is closed") };
        assert!(matches!(&down, LlmError::Held { is_down: true, .. }), "{down:?}");
        assert_eq!(down.to_string(), "the model is unavailable: its server answered 503");
        let busy = Breaker::default();
        let said = busy.admit().unwrap().failed("its server answered 429".to_owned(), Some(PAUSE));
        assert!(matches!(&said, LlmError::Held { is_down: false, .. }), "{said:?}");
    }

    #[test]
    fn what_the_server_asks_for_holds_all_calls_at_once() {
        let breaker = Breaker::default();
        let asked = Duration::from_mins(1);
        assert!(failed(breaker.admit().unwrap(), Some(asked)).unwrap() > asked / 2);
        assert!(held(&breaker).unwrap() > asked / 2);
        // A shorter wish of a call that was on its way does not shorten it.
        let permit = Permit { breaker: &breaker, is_probe: false };
        assert!(failed(permit, Some(Duration::from_secs(1))).unwrap() > asked / 2);
    }

    #[test]
    fn a_server_that_wants_no_pause_gets_one_all_the_same() {
        let breaker = Breaker::default();
        let fails = || failed(breaker.admit().unwrap(), Some(Duration::ZERO));
        for _ in 1..FAILURES {
            assert_eq!(fails(), None);
            skip_pause(&breaker);
        }
        assert!(fails().is_some_and(|rest| rest > PAUSE / 2));
    }

    #[test]
    fn after_the_pause_one_call_tries_and_the_others_wait() {
        let breaker = broken();
        skip_pause(&breaker);
        let probe = breaker.admit().unwrap();
        assert_eq!(held(&breaker), Some(PROBE_WAIT));
        assert!(failed(probe, None).is_some(), "one failure of the probe is enough");
        assert!(held(&breaker).unwrap() > PAUSE / 2);
        skip_pause(&breaker);
        breaker.admit().unwrap().succeeded();
        let both = (breaker.admit(), breaker.admit());
        assert!(both.0.is_ok() && both.1.is_ok());
    }

    #[test]
    fn a_probe_that_is_cut_lets_the_next_one_try() {
        let breaker = broken();
        skip_pause(&breaker);
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
    }
}
