//! What is sent, as Stripe reads it: pairs, with nested names in brackets.

/// In the order in which it was set: the same call is then the same bytes, which its key is compared with.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs {
            form.set(name, value);
        }
        form
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}
