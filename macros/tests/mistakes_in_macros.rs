//! What the compiler says to a person who uses a macro, or wires an application, in a wrong way: a
//! file in `tests/ui` for each mistake, and beside it the messages. `TRYBUILD=overwrite` writes
//! that anew.

#[test]
fn mistakes_are_reported_where_they_were_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
