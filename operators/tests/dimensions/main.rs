//! Every operator of the catalogue on its recorded input: `<name>.ndjson` beside this file, what comes of it in
//! `<name>.golden`. An operator without input fails. `GRAVITY_UPDATE_GOLDEN=1` writes the golden files.

use std::path::Path;

use gravity_operators::harness::dimension::check;
use gravity_operators::harness::golden::golden;
use gravity_operators::scoring::dimensions::CATALOGUE;

#[test]
fn every_operator_says_what_it_said_and_what_a_computation_from_scratch_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dimensions");
    for entry in CATALOGUE {
        let file = folder.join(format!("{}.ndjson", entry.name));
        let input = std::fs::read_to_string(&file)
            .unwrap_or_else(|e| panic!("{}: {e}; every operator needs recorded input there", file.display()));
        let parameters = serde_json::from_str(entry.example).expect(entry.name);
        let said = check(entry, &parameters, &input).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(said.matches('+').count() > 1, "the input of {} shows nothing", entry.name);
        golden(&folder.join(format!("{}.golden", entry.name)), &said);
    }
}

#[test]
fn the_page_of_operators_is_the_catalogue() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
    golden(&page, &gravity_operators::scoring::docs::page());
}

#[test]
fn bad_input_is_named_by_line() {
    let entry = &CATALOGUE[0];
    let error = |input: &str| check(entry, &serde_json::Value::Null, input).unwrap_err().to_string();
    assert!(error("\n{\"team\":\"a\"}").starts_with("line 2: missing field `submission`"));
    assert!(error("{").starts_with("line 1: "));
    let parameters = serde_json::json!({"rule": "most"});
    let error = check(entry, &parameters, "").unwrap_err().to_string();
    assert!(error.starts_with("the parameters: `rule`: "), "{error}");
}
