use super::super::*;
use proptest::prelude::*;
use regex_lite::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(serde_json::from_str(SCHEMA).unwrap()));

/// The part of JSON Schema that is used, and no other: a keyword that it does not know is a mistake.
struct Validator {
    root: Value,
    patterns: HashMap<String, Regex>,
}

impl Validator {
    fn new(root: Value) -> Validator {
        fn collect(schema: &Value, patterns: &mut HashMap<String, Regex>) {
            match schema {
                Value::Object(members) => {
                    if let Some(Value::String(pattern)) = members.get("pattern") {
                        patterns.entry(pattern.clone()).or_insert_with(|| Regex::new(pattern).unwrap());
                    }
                    members.values().for_each(|member| collect(member, patterns));
                }
                Value::Array(items) => items.iter().for_each(|item| collect(item, patterns)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let mut patterns = HashMap::new();
        collect(&root, &mut patterns);
        Validator { root, patterns }
    }

    fn accepts(&self, value: &Value) -> bool {
        self.is_valid(&self.root, value)
    }

    fn is_valid(&self, schema: &Value, value: &Value) -> bool {
        schema.as_object().unwrap().iter().all(|(keyword, wanted)| self.keeps(schema, keyword, wanted, value))
    }

    fn keeps(&self, schema: &Value, keyword: &str, wanted: &Value, value: &Value) -> bool {
        let limit = || wanted.as_f64().unwrap();
        let schemas = || wanted.as_array().unwrap();
        let members = || wanted.as_object().unwrap();
        match (keyword, value) {
            ("$schema" | "$id" | "$defs" | "title" | "description" | "examples", _) => true,
            ("$ref", _) => {
                let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                self.is_valid(self.root.pointer(pointer).unwrap(), value)
            }
            ("type", _) => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "number" => value.is_number(),
                "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
                unknown => panic!("type {unknown}"),
            },
            ("const", _) => value == wanted,
            ("enum", _) => schemas().contains(value),
            ("allOf", _) => schemas().iter().all(|schema| self.is_valid(schema, value)),
            ("anyOf", _) => schemas().iter().any(|schema| self.is_valid(schema, value)),
            ("oneOf", _) => schemas().iter().filter(|schema| self.is_valid(schema, value)).count() == 1,
            ("not", _) => !self.is_valid(wanted, value),
            ("if", _) => !self.is_valid(wanted, value) || self.is_valid(&schema["then"], value),
            ("then", _) => true,
            ("properties", Value::Object(object)) => members()
                .iter()
                .all(|(name, schema)| object.get(name).is_none_or(|member| self.is_valid(schema, member))),
            ("required", Value::Object(object)) => {
                schemas().iter().all(|name| object.contains_key(name.as_str().unwrap()))
            }
            ("additionalProperties", Value::Object(object)) => {
                assert_eq!(wanted, &json!(false));
                let known = schema["properties"].as_object().unwrap();
                object.keys().all(|name| known.contains_key(name))
            }
            ("minProperties", Value::Object(object)) => object.len() as f64 >= limit(),
            ("maxProperties", Value::Object(object)) => object.len() as f64 <= limit(),
            ("items", Value::Array(items)) => items.iter().all(|item| self.is_valid(wanted, item)),
            ("prefixItems", Value::Array(items)) => {
                items.iter().zip(schemas()).all(|(item, schema)| self.is_valid(schema, item))
            }
            ("minItems", Value::Array(items)) => items.len() as f64 >= limit(),
            ("maxItems", Value::Array(items)) => items.len() as f64 <= limit(),
            ("minLength", Value::String(text)) => text.chars().count() as f64 >= limit(),
            ("maxLength", Value::String(text)) => text.chars().count() as f64 <= limit(),
            ("pattern", Value::String(text)) => self.patterns[wanted.as_str().unwrap()].is_match(text),
            ("minimum", Value::Number(number)) => number.as_f64().unwrap() >= limit(),
            ("maximum", Value::Number(number)) => number.as_f64().unwrap() <= limit(),
            (
                "properties"
                | "required"
                | "additionalProperties"
                | "minProperties"
                | "maxProperties"
                | "items"
                | "prefixItems"
                | "minItems"
                | "maxItems"
                | "minLength"
                | "maxLength"
                | "pattern"
                | "minimum"
                | "maximum",
                _,
            ) => true,
            (unknown, _) => panic!("keyword {unknown}"),
        }
    }
}

/// What a schema cannot say, by the words of the message.
const BEYOND: [&str; 7] = [
    "impossible:",
    "is no part of",
    "is too long",
    "parsed date is not valid",
    "bytes, limit",
    "clauses",
    "is no length of time",
];

/// Every place in a value.
fn places(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| places(member, format!("{path}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| places(item, format!("{path}/{place}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.push(path);
}

fn replacement() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        json!(true),
        json!(0),
        json!(-1),
        json!(3),
        json!(2.5),
        json!(1e16),
        json!(70_000),
        json!(""),
        json!(" \u{2003}"),
        json!("a\u{7f}"),
        json!("x".repeat(257)),
        json!("shoes"),
        json!("order"),
        json!("visit"),
        json!("identify"),
        json!("anything"),
        json!("ever"),
        json!("total"),
        json!("channel"),
        json!("referrer"),
        json!("true"),
        json!("lifecycle"),
        json!("at-risk"),
        json!("email"),
        json!("14 days"),
        json!("0 seconds"),
        json!("2026-03-31"),
        json!("1969-12-31"),
        json!([]),
        json!(["1 day", "0 seconds"]),
        json!([1, 2]),
        json!({}),
        json!({ "page": "/*" }),
        json!({ "page": "https://a/" }),
        json!({ "page": "*********" }),
        json!({ "track": "a" }),
        json!({ "is": "a" }),
        json!({ "is": 1 }),
        json!({ "at_least": 1 }),
        json!({ "at_least": "1 day" }),
        json!({ "exists": true }),
        json!({ "one_of": [] }),
        json!({ "one_of": ["email", 1] }),
        json!({ "within": "1 hour" }),
        json!({ "count": { "at_least": 0.5 } }),
        json!({ "sum": { "property": "price", "is": { "at_least": 0.5 } } }),
        json!({ "segment": "a" }),
        json!({ "segment": "a", "not": { "segment": "a" } }),
    ])
}

proptest! {
    #[test]
    fn every_rule_keeps_the_schema(rule in arbitrary::rule()) {
        let json = serde_json::to_value(&rule).unwrap();
        prop_assert!(VALIDATOR.accepts(&json), "{}", json);
    }

    /// Where one value in a rule is another, or is missing, the schema and the code are of one mind.
    #[test]
    fn the_schema_refuses_what_the_code_refuses(
        rule in arbitrary::rule(), at in any::<prop::sample::Index>(), other in replacement(), is_removed in any::<bool>(),
    ) {
        let mut json = serde_json::to_value(&rule).unwrap();
        let mut found = Vec::new();
        places(&json, String::new(), &mut found);
        let path = &found[at.index(found.len())];
        let (parent, name) = path.rsplit_once('/').unwrap_or_default();
        match json.pointer_mut(parent) {
            Some(Value::Object(members)) if is_removed && !name.is_empty() => { members.remove(name); }
            _ => *json.pointer_mut(path).unwrap() = other,
        }
        let read = Rule::from_json(&json.to_string());
        match &read {
            Err(error) if BEYOND.iter().any(|beyond| error.message.contains(beyond)) => {}
            read => prop_assert_eq!(VALIDATOR.accepts(&json), read.is_ok(), "{:?} {}", read, json),
        }
    }
}

#[test]
fn what_people_get_wrong_is_refused() {
    let accepts = |who: Value| VALIDATOR.accepts(&json!({ "version": 1, "who": who }));
    let count = |of: Value, count: Value| json!({ "event": { "of": of, "is": { "count": count } } });
    assert!(accepts(count(json!({ "what": { "page": "/pricing" } }), json!({ "at_least": 3 }))));
    for who in [
        json!({}),
        json!({ "all": [] }),
        json!({ "all": [], "any": [] }),
        json!({ "Segment": "vip" }),
        json!({ "segment": " " }),
        count(json!({ "what": { "page": "https://shop.example/pricing" } }), json!({ "at_least": 3 })),
        count(json!({ "what": { "page": "/pricing" } }), json!({ "at_least": "3" })),
        count(json!({ "what": { "page": "/pricing" } }), json!({ "at_least": 1.5 })),
        count(json!({ "what": { "page": "/pricing" } }), json!({ "at_least": 1, "at_most": 3 })),
        count(
            json!({ "what": { "page": "/pricing" }, "with": [{ "property": "a", "is": { "is": 1 } }] }),
            json!({ "exactly": 1 }),
        ),
        count(
            json!({ "what": "order", "with": [{ "property": "colour", "is": { "is": 1 } }] }),
            json!({ "exactly": 1 }),
        ),
        json!({ "event": { "of": { "what": "order" }, "is": { "sum": { "property": "price", "is": { "at_least": 1 } } } } }),
        json!({ "event": { "of": { "what": "order" }, "is": { "last": { "at_least": "soon" } } } }),
        json!({ "event": { "of": { "what": "order" }, "window": { "within": "0 days" }, "is": { "last": { "at_least": "1 day" } } } }),
        json!({ "sequence": { "first": { "what": "order" } } }),
        json!({ "sequence": { "first": { "what": "order" }, "then": [] } }),
        json!({ "fact": { "name": "orders", "is": { "is": "many" } } }),
        json!({ "fact": { "name": "lifecycle", "is": { "is": "rich" } } }),
        json!({ "fact": { "name": "lifecycle", "is": { "at_least": 1 } } }),
        json!({ "trait": { "name": "plan", "is": { "one_of": [] } } }),
        json!({ "trait": { "name": "plan", "is": { "is": null } } }),
        json!({ "bucket": { "salt": "a", "from": 0, "to": 10001 } }),
    ] {
        assert!(!accepts(who.clone()), "{who}");
    }
    for (name, is) in [
        ("country", json!({ "is": "Austria" })),
        ("device", json!({ "one_of": ["desktop", "toaster"] })),
        ("email_class", json!({ "is": "good" })),
        ("browser", json!({ "at_least": 1 })),
        ("language", json!({ "is": 1 })),
    ] {
        let who = json!({ "fact": { "name": name, "is": is } });
        assert!(!accepts(who.clone()), "{who}");
        assert!(Rule::from_json(&json!({ "version": 1, "who": who }).to_string()).is_err(), "{who}");
    }
    assert!(accepts(json!({ "fact": { "name": "country", "is": { "is": "AT" } } })));
    assert!(!VALIDATOR.accepts(&json!({ "version": 2, "who": { "segment": "a" } })));
}

#[test]
fn the_schema_names_every_fact_with_its_words() {
    let schema = &VALIDATOR.root;
    // Those that are any number or text.
    let mut numbers = BTreeSet::new();
    let mut words = HashMap::new();
    for fact in schema["$defs"]["fact"]["oneOf"].as_array().unwrap() {
        let name = &fact["properties"]["name"];
        match name["const"].as_str() {
            Some(key) => {
                let is = &fact["properties"]["is"]["properties"];
                assert!(is["is"] == is["is_not"] && is["is"] == is["one_of"]["items"], "{key}");
                words.insert(key, is["is"]["enum"].as_array().cloned().unwrap_or_default());
            }
            None => {
                numbers.extend(name["oneOf"].as_array().unwrap().iter().map(|name| name["const"].as_str().unwrap()))
            }
        }
    }
    assert_eq!(numbers.len() + words.len(), Fact::ALL.len());
    for fact in Fact::ALL {
        match fact.words() {
            None => {
                let is_text_of_few = fact.trait_name().is_some() && words.contains_key(fact.key());
                assert!(numbers.contains(fact.key()) || is_text_of_few, "{}", fact.key());
            }
            Some(known) => {
                let listed = words[fact.key()].iter().filter_map(Value::as_str);
                assert_eq!(listed.collect::<Vec<_>>(), known, "{}", fact.key());
            }
        }
    }
}

#[test]
fn the_schemas_limits_are_those_of_the_code() {
    let defs = &VALIDATOR.root["$defs"];
    let limit = |pointer: &str| defs.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(limit("/clause/properties/all/maxItems"), MAX_CLAUSES as u64 - 1);
    assert_eq!(limit("/clause/properties/any/maxItems"), MAX_CLAUSES as u64 - 1);
    assert_eq!(limit("/sequence/properties/then/maxItems"), MAX_STEPS as u64 - 1);
    for test in ["test", "numberTest"] {
        assert_eq!(limit(&format!("/{test}/properties/one_of/maxItems")), MAX_LISTED as u64);
    }
    assert_eq!(limit("/name/maxLength"), MAX_TEXT_BYTES as u64);
    assert_eq!(limit("/scalar/anyOf/2/maxLength"), MAX_TEXT_BYTES as u64);
    assert_eq!(limit("/bucket/properties/to/maximum"), u64::from(BucketClause::WHOLE));
    let said = VALIDATOR.root["description"].as_str().unwrap();
    for limit in [
        format!("at most {MAX_CLAUSES} clauses"),
        format!("at most {MAX_DEPTH} deep"),
        format!("at most {MAX_TEXT_BYTES} bytes"),
        format!("at most {MAX_SPAN_DAYS} days"),
    ] {
        assert!(said.contains(&limit), "{limit}");
    }
    assert_eq!(VALIDATOR.root["properties"]["version"]["const"], json!(u16::from(Version)));
}

#[test]
fn every_property_of_the_form_is_described() {
    fn walk(schema: &Value, path: String, bare: &mut Vec<String>) {
        if let Some(Value::Object(properties)) = schema.get("properties").filter(|_| schema.get("type").is_some()) {
            for (name, property) in properties {
                let is_described = property.get("description").is_some()
                    || property.get("$ref").is_some_and(|target| {
                        let pointer = target.as_str().unwrap().strip_prefix('#').unwrap();
                        VALIDATOR.root.pointer(pointer).unwrap().get("description").is_some()
                    });
                if !is_described && property.get("enum").is_none() && property.get("const").is_none() {
                    bare.push(format!("{path}/{name}"));
                }
            }
        }
        match schema {
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| walk(member, format!("{path}/{name}"), bare));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(place, item)| walk(item, format!("{path}/{place}"), bare));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut bare = Vec::new();
    walk(&VALIDATOR.root["$defs"], String::new(), &mut bare);
    assert_eq!(bare, Vec::<String>::new());
}
