//! YAML as JSON values: what the tests and their configurations are written in.
//!
//! Must never know: what is said in it.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// The first document of a text; null where there is none.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    Ok(documents.first().map_or(Value::Null, value_of))
}

fn value_of(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(scalar) => scalar_of(scalar),
        Yaml::Representation(text, ..) => Value::from(text.as_ref()),
        Yaml::Sequence(items) => items.iter().map(value_of).collect(),
        Yaml::Mapping(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (key_of(key), value_of(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Yaml::Tagged(_, inner) => value_of(inner),
        Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

fn key_of(node: &Yaml<'_>) -> String {
    match value_of(node) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// YAML 1.1, which both are written in, has more words for truth than its successor.
fn scalar_of(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(truth) => Value::from(*truth),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
        Scalar::String(text) => match text.as_ref() {
            "yes" | "Yes" | "on" => Value::from(true),
            "no" | "No" | "off" => Value::from(false),
            text => Value::from(text),
        },
    }
}

#[test]
fn both_kinds_of_truth_and_nesting_are_read() {
    let read = read("a: [1, 0x10, \"x\"]\nb:\n  - c.d: yes\n    e: true\n").expect("it is YAML");
    assert_eq!(read["b"][0]["c.d"], true);
    assert_eq!(read["b"][0]["e"], true);
    assert_eq!(read["a"], serde_json::json!([1, 16, "x"]));
}
