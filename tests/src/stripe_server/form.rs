//! Forms as Stripe takes them: `items[0][price]=…` is a map in a map in a map.

use serde_json::{Map, Value};

/// A form or query as nested maps; a list is a map by number.
pub fn parse(encoded: &str) -> Value {
    let mut form = Map::new();
    for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name);
        let path: Vec<&str> = name.split('[').map(|part| part.trim_end_matches(']')).collect();
        let mut at = &mut form;
        for part in &path[..path.len() - 1] {
            let inner = at.entry(*part).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            at = inner.as_object_mut().unwrap();
        }
        at.insert(path[path.len() - 1].to_owned(), Value::String(decode(value)));
    }
    Value::Object(form)
}

/// The first name in `form` that is not among `known`, where `*` stands for any one part.
pub fn unknown(form: &Value, known: &[&str]) -> Option<String> {
    let mut names = Vec::new();
    flatten(form, String::new(), &mut names);
    names.into_iter().find(|name| !known.iter().any(|known| is_like(name, known)))
}

fn flatten(form: &Value, name: String, names: &mut Vec<String>) {
    match form.as_object() {
        Some(parts) => {
            for (part, value) in parts {
                let inner = if name.is_empty() { part.clone() } else { format!("{name}[{part}]") };
                flatten(value, inner, names);
            }
        }
        None => names.push(name),
    }
}

fn is_like(name: &str, known: &str) -> bool {
    let parts = |text: &str| text.split('[').map(|part| part.trim_end_matches(']').to_owned()).collect::<Vec<_>>();
    let (name, known) = (parts(name), parts(known));
    name.len() == known.len() && name.iter().zip(&known).all(|(part, known)| known == "*" || part == known)
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (bytes[at], escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (b'+', _) => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_nest() {
        let form = parse("items%5B0%5D%5Bprice%5D=price_1&items[0][quantity]=1&email=ada%2Bcv%40example.com&a=x+y&b");
        let expected = json!({"items": {"0": {"price": "price_1", "quantity": "1"}},
            "email": "ada+cv@example.com", "a": "x y", "b": ""});
        assert_eq!(form, expected);
        assert_eq!(unknown(&form, &["items[*][price]", "items[*][quantity]", "email", "a", "b"]), None);
        assert_eq!(unknown(&form, &["items[*][price]", "email", "a", "b"]).as_deref(), Some("items[0][quantity]"));
    }
}
