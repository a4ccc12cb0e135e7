//! A decoder for pickled data, with which Django's cache stores sessions.
//!
//! A pickle is a program for a small machine, and some of its operations import and call code. This
//! decoder knows only those that build dictionaries, lists, texts, numbers, booleans and None, and
//! refuses a pickle with any other. The operations are those of protocol 5 (PEP 574), as listed in
//! the module `pickletools` of Python's library.

use super::data::MAX_SESSION;
use serde_json::{Map, Number, Value};
use std::{collections::HashMap, fmt};

/// The number of containers that may be nested in each other.
const MAX_DEPTH: usize = 64;

/// The reason why a pickle was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An operation that does more than build data, or builds data that JSON has not.
    Operation(u8),
    /// It ends too early, or its operations do not fit together.
    Malformed,
    TooLarge,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(code) => write!(
                f,
                "the pickle holds something else than plain data (operation {code:#04x})"
            ),
            Self::Malformed => f.write_str("the pickle is malformed"),
            Self::TooLarge => f.write_str("the pickle is too large or too deeply nested"),
        }
    }
}

/// Decodes a pickled dictionary. A number that JSON has not (NaN, infinity) becomes null.
///
/// # Errors
/// The reason why it was refused.
pub(super) fn decode(pickle: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if pickle.len() > MAX_SESSION {
        return Err(Refusal::TooLarge);
    }
    let mut machine = Machine {
        rest: pickle,
        stack: Vec::new(),
        memo: HashMap::new(),
        // Python stores each text in the memo as well.
        budget: 2 * MAX_SESSION,
    };
    match machine.run()? {
        Value::Object(values) => Ok(values),
        _ => Err(Refusal::Malformed),
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Item>,
    /// Texts that may occur again. A container that occurs again would have two owners, which JSON
    /// cannot express: `None`.
    memo: HashMap<u32, Option<String>>,
    /// What may still be built, in bytes of text and values: a text from the memo costs its length
    /// each time.
    budget: usize,
}

enum Item {
    Mark,
    /// A value, and how deep containers are nested in it.
    Value(Value, usize),
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value, Refusal> {
        loop {
            let [operation] = self.take()?;
            match operation {
                // PROTO
                0x80 => _ = self.take::<1>()?,
                // FRAME, whose length only helps to read ahead
                0x95 => _ = self.take::<8>()?,
                // EMPTY_DICT, EMPTY_LIST
                b'}' => self.push(Value::Object(Map::new()), 1)?,
                b']' => self.push(Value::Array(Vec::new()), 1)?,
                b'(' => self.spend_and_push(1, Item::Mark)?,
                // NONE, NEWTRUE, NEWFALSE
                b'N' => self.push(Value::Null, 0)?,
                0x88 => self.push(Value::Bool(true), 0)?,
                0x89 => self.push(Value::Bool(false), 0)?,
                // BININT1, BININT2, BININT, LONG1
                b'K' => self.push_integer(|[byte]: [u8; 1]| i64::from(byte))?,
                b'M' => self.push_integer(|bytes| i64::from(u16::from_le_bytes(bytes)))?,
                b'J' => self.push_integer(|bytes| i64::from(i32::from_le_bytes(bytes)))?,
                0x8a => self.push_long()?,
                // BINFLOAT
                b'G' => {
                    let number = f64::from_be_bytes(self.take()?);
                    let number = Number::from_f64(number).map_or(Value::Null, Value::Number);
                    self.push(number, 0)?;
                }
                // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
                0x8c => {
                    let [length] = self.take()?;
                    self.push_text(usize::from(length))?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?);
                    self.push_text(usize::try_from(length).map_err(|_| Refusal::TooLarge)?)?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.take()?);
                    self.push_text(usize::try_from(length).map_err(|_| Refusal::TooLarge)?)?;
                }
                // MEMOIZE, BINPUT, LONG_BINPUT
                0x94 => {
                    let next = u32::try_from(self.memo.len()).map_err(|_| Refusal::TooLarge)?;
                    self.memoize(next)?;
                }
                b'q' => {
                    let [index] = self.take()?;
                    self.memoize(u32::from(index))?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.take()?);
                    self.memoize(index)?;
                }
                // BINGET, LONG_BINGET
                b'h' => {
                    let [index] = self.take()?;
                    self.push_memoized(operation, u32::from(index))?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.take()?);
                    self.push_memoized(operation, index)?;
                }
                // SETITEM, SETITEMS, APPEND, APPENDS
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items([key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append([item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.append(items)?;
                }
                // STOP
                b'.' => {
                    let (value, _) = self.pop()?;
                    return match self.stack.is_empty() {
                        true => Ok(value),
                        false => Err(Refusal::Malformed),
                    };
                }
                other => return Err(Refusal::Operation(other)),
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Refusal::Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take_slice(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let taken = self.rest.split_at_checked(length);
        let (taken, rest) = taken.ok_or(Refusal::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn push(&mut self, value: Value, depth: usize) -> Result<(), Refusal> {
        let size = value.as_str().map_or(0, str::len);
        self.spend_and_push(size + 1, Item::Value(value, depth))
    }

    fn spend_and_push(&mut self, size: usize, item: Item) -> Result<(), Refusal> {
        self.budget = self.budget.checked_sub(size).ok_or(Refusal::TooLarge)?;
        self.stack.push(item);
        Ok(())
    }

    fn push_integer<const N: usize>(
        &mut self,
        read: impl Fn([u8; N]) -> i64,
    ) -> Result<(), Refusal> {
        let number = read(self.take()?);
        self.push(number.into(), 0)
    }

    /// Pushes an integer of up to 255 bytes, of which JSON has those of up to 64 bits.
    fn push_long(&mut self) -> Result<(), Refusal> {
        let [length] = self.take()?;
        let bytes = self.take_slice(usize::from(length))?;
        let is_negative = bytes.last().is_some_and(|last| *last >= 0x80);
        let mut wide = [if is_negative { 0xff } else { 0 }; 16];
        let known = wide.get_mut(..bytes.len()).ok_or(Refusal::TooLarge)?;
        known.copy_from_slice(bytes);
        let number = Number::from_i128(i128::from_le_bytes(wide)).ok_or(Refusal::TooLarge)?;
        self.push(Value::Number(number), 0)
    }

    fn push_text(&mut self, length: usize) -> Result<(), Refusal> {
        let bytes = self.take_slice(length)?;
        // Python writes half of a surrogate pair, which is not UTF-8, with three bytes as well.
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.push(Value::String(text), 0)
    }

    fn memoize(&mut self, index: u32) -> Result<(), Refusal> {
        let text = match self.stack.last() {
            Some(Item::Value(Value::String(text), _)) => Some(text.clone()),
            Some(Item::Value(..)) => None,
            Some(Item::Mark) | None => return Err(Refusal::Malformed),
        };
        let size = text.as_ref().map_or(0, String::len) + 1;
        self.budget = self.budget.checked_sub(size).ok_or(Refusal::TooLarge)?;
        self.memo.insert(index, text);
        Ok(())
    }

    fn push_memoized(&mut self, operation: u8, index: u32) -> Result<(), Refusal> {
        match self.memo.get(&index) {
            Some(Some(text)) => {
                let text = Value::String(text.clone());
                self.push(text, 0)
            }
            Some(None) => Err(Refusal::Operation(operation)),
            None => Err(Refusal::Malformed),
        }
    }

    fn pop(&mut self) -> Result<(Value, usize), Refusal> {
        match self.stack.pop() {
            Some(Item::Value(value, depth)) => Ok((value, depth)),
            Some(Item::Mark) | None => Err(Refusal::Malformed),
        }
    }

    /// Removes the values above the topmost mark, and the mark.
    fn pop_to_mark(&mut self) -> Result<Vec<(Value, usize)>, Refusal> {
        let is_mark = |item: &Item| matches!(item, Item::Mark);
        let mark = self.stack.iter().rposition(is_mark);
        let mark = mark.ok_or(Refusal::Malformed)?;
        let items = self.stack.drain(mark..).skip(1);
        Ok(items
            .filter_map(|item| match item {
                Item::Value(value, depth) => Some((value, depth)),
                Item::Mark => None,
            })
            .collect())
    }

    /// Adds keys and values in turn to the dictionary on the stack.
    fn set_items(
        &mut self,
        items: impl IntoIterator<Item = (Value, usize)>,
    ) -> Result<(), Refusal> {
        let Some(Item::Value(Value::Object(values), depth)) = self.stack.last_mut() else {
            return Err(Refusal::Malformed);
        };
        let mut items = items.into_iter();
        while let Some((key, _)) = items.next() {
            let (value, inner) = items.next().ok_or(Refusal::Malformed)?;
            let key = match key {
                Value::String(key) => key,
                // As Python writes such a key in JSON.
                Value::Number(key) => key.to_string(),
                _ => return Err(Refusal::Malformed),
            };
            *depth = deeper(*depth, inner)?;
            values.insert(key, value);
        }
        Ok(())
    }

    /// Adds values to the list on the stack.
    fn append(&mut self, items: impl IntoIterator<Item = (Value, usize)>) -> Result<(), Refusal> {
        let Some(Item::Value(Value::Array(values), depth)) = self.stack.last_mut() else {
            return Err(Refusal::Malformed);
        };
        for (value, inner) in items {
            *depth = deeper(*depth, inner)?;
            values.push(value);
        }
        Ok(())
    }
}

/// Returns the depth of a container that gets a value of this depth.
fn deeper(depth: usize, inner: usize) -> Result<usize, Refusal> {
    if inner >= MAX_DEPTH {
        return Err(Refusal::TooLarge);
    }
    Ok(depth.max(inner + 1))
}

#[cfg(test)]
mod tests {
    use super::{
        super::vectors::{Vectors, text},
        *,
    };
    use data_encoding::HEXLOWER;
    use proptest::{collection::vec, prelude::*};
    use serde_json::json;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).expect(text)
    }

    #[test]
    fn the_sessions_that_django_has_cached_are_read() {
        let vectors = Vectors::read();
        assert_eq!(vectors.cache_backend_redis.len(), 2);

        for vector in &vectors.cache_backend_redis {
            let session = decode(&hex(text(vector, "value_hex"))).unwrap();
            assert_eq!(Value::Object(session), vectors.full_session["dict"]);
        }
    }

    #[test]
    fn what_python_pickles_is_decoded() {
        for (pickle, expected) in [
            ("80027d71002e", json!({})),
            ("80057d942e", json!({})),
            (
                "80027d71002858010000006171014b0158010000006271025d71032888894e4affffffff4bff4d00014dffff4a000001004a0000008065752e",
                json!({"a": 1, "b": [true, false, null, -1, 255, 256, 65535, 65536, -2147483648i64]}),
            ),
            (
                "8005952d000000000000007d94288c0161944b018c0162945d942888894e4affffffff4bff4d00014dffff4a000001004a0000008065752e",
                json!({"a": 1, "b": [true, false, null, -1, 255, 256, 65535, 65536, -2147483648i64]}),
            ),
            (
                "80027d710058040000006c6f6e6771015d7102288a0500000080008a05ffffff7fff8a09ffffffffffffffff008a08000000000000008065732e",
                json!({"long": [2147483648u64, -2147483649i64, 18446744073709551615u64, -9223372036854775808i64]}),
            ),
            (
                "80059532000000000000007d948c046c6f6e67945d94288a0500000080008a05ffffff7fff8a09ffffffffffffffff008a08000000000000008065732e",
                json!({"long": [2147483648u64, -2147483649i64, 18446744073709551615u64, -9223372036854775808i64]}),
            ),
            (
                "80027d710058010000006671015d710228473ff8000000000000477ff0000000000000477ff800000000000065732e",
                json!({"f": [1.5, null, null]}),
            ),
            (
                "80059527000000000000007d948c0166945d9428473ff8000000000000477ff0000000000000477ff800000000000065732e",
                json!({"f": [1.5, null, null]}),
            ),
            (
                "80027d7100285804000000746578747101580c00000068c3a920e4b89620f09f98807102580000000071036803752e",
                json!({"text": "hé 世 😀", "": ""}),
            ),
            (
                "80059520000000000000007d94288c0474657874948c0c68c3a920e4b89620f09f9880948c00946803752e",
                json!({"text": "hé 世 😀", "": ""}),
            ),
            (
                "80027d71005805000000747769636571015d710228580d000000726570656174656420746578747103680365732e",
                json!({"twice": ["repeated text", "repeated text"]}),
            ),
            (
                "80059522000000000000007d948c057477696365945d94288c0d7265706561746564207465787494680365732e",
                json!({"twice": ["repeated text", "repeated text"]}),
            ),
            (
                "80027d710058040000006b65797371017d7102284b017d71034afeffffff5d71045d71056175732e",
                json!({"keys": {"1": {}, "-2": [[]]}}),
            ),
            (
                "8005951d000000000000007d948c046b657973947d94284b017d944afeffffff5d945d946175732e",
                json!({"keys": {"1": {}, "-2": [[]]}}),
            ),
        ] {
            let decoded = decode(&hex(pickle)).map(Value::Object);
            assert_eq!(decoded, Ok(expected), "{pickle}");
        }
    }

    #[test]
    fn a_text_may_be_nearly_as_large_as_a_session() {
        let text = "x".repeat(MAX_SESSION - 100);
        let mut pickle = hex("80027d7100580100000061710158");
        pickle.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
        pickle.extend_from_slice(text.as_bytes());
        pickle.extend_from_slice(&hex("7102732e"));

        assert_eq!(decode(&pickle).unwrap()["a"], Value::String(text));
    }

    #[test]
    fn a_pickle_of_anything_but_data_is_refused() {
        for (what, pickle) in [
            (
                "a function that is called",
                "80059526000000000000007d948c0161948c05706f736978948c0673797374656d9493948c04747275659485945294732e",
            ),
            (
                "the same, in protocol 2",
                "80027d7100580100000061710163706f7369780a73797374656d0a71025804000000747275657103857104527105732e",
            ),
            (
                "a date",
                "80059527000000000000007d948c0161948c086461746574696d65948c0464617465949394430407ea01019485945294732e",
            ),
            (
                "a decimal",
                "80059528000000000000007d948c0161948c07646563696d616c948c07446563696d616c9493948c03312e359485945294732e",
            ),
            (
                "a set",
                "8005950e000000000000007d948c0161948f94284b0190732e",
            ),
            ("bytes", "8005950c000000000000007d948c01619443017894732e"),
            ("a tuple", "8005950c000000000000007d948c0161944b018594732e"),
            ("an empty tuple", "80059509000000000000007d948c01619429732e"),
            (
                "a class",
                "80059526000000000000007d948c0161948c0b636f6c6c656374696f6e73948c0b4f72646572656444696374949394732e",
            ),
            (
                "an ordered dictionary",
                "8005952e000000000000007d948c0161948c0b636f6c6c656374696f6e73948c0b4f7264657265644469637494939429529468014b0173732e",
            ),
            (
                "a complex number",
                "80059535000000000000007d948c0161948c086275696c74696e73948c07636f6d706c6578949394470000000000000000473ff000000000000086945294732e",
            ),
            ("protocol 0", "286470300a56610a70310a56746578740a70320a732e"),
            (
                "a bytearray",
                "80059513000000000000007d948c0161949601000000000000007894732e",
            ),
            (
                "a list with two owners",
                "80059514000000000000007d94288c0161945d944b01618c0162946802752e",
            ),
        ] {
            let refusal = decode(&hex(pickle)).expect_err(what);
            assert!(
                matches!(refusal, Refusal::Operation(_)),
                "{what}: {refusal}"
            );
        }
    }

    #[test]
    fn what_is_nested_too_deeply_or_malformed_is_refused() {
        let nested = |depth: usize| {
            // `}` and a key for each level, then as many SETITEMs.
            let mut pickle = vec![0x80, 5];
            pickle.extend(b"}\x8c\x01a".repeat(depth - 1));
            pickle.push(b'}');
            pickle.extend(b"s".repeat(depth - 1));
            pickle.push(b'.');
            decode(&pickle)
        };
        assert!(nested(MAX_DEPTH).is_ok());
        assert_eq!(nested(MAX_DEPTH + 1), Err(Refusal::TooLarge));
        assert_eq!(decode(&vec![b'}'; MAX_SESSION + 1]), Err(Refusal::TooLarge));
        for (what, pickle) in [
            ("nothing", ""),
            ("no stop", "80057d"),
            ("a stop alone", "2e"),
            ("two values", "7d7d2e"),
            ("no dictionary", "5d2e"),
            ("a mark for a value", "282e"),
            ("a key without value", "7d284b01752e"),
            ("items without mark", "7d752e"),
            ("items of a number", "4b0128752e"),
            ("items appended to a dictionary", "7d4b01612e"),
            ("a dictionary as key", "7d7d4e732e"),
            ("an unknown memo", "7d68072e"),
            ("a memo of nothing", "947d2e"),
            ("a memo of a mark", "7d287100752e"),
            ("a short text", "7d8c056162632e"),
            ("a short number", "7d4a01022e"),
        ] {
            assert_eq!(decode(&hex(pickle)), Err(Refusal::Malformed), "{what}");
        }
    }

    #[test]
    fn a_text_that_is_repeated_without_end_is_refused() {
        // 100 kB of text, and then 50,000 times the same from the memo.
        let mut pickle = vec![0x80, 5, b']', b'(', b'X'];
        pickle.extend(100_000u32.to_le_bytes());
        pickle.extend(vec![b'x'; 100_000]);
        pickle.extend(b"q\0");
        pickle.extend(b"h\0".repeat(50_000));
        pickle.extend(b"e.");

        assert_eq!(decode(&pickle), Err(Refusal::TooLarge));
    }

    #[test]
    fn a_length_that_does_not_exist_is_malformed() {
        for length in [1, u64::from(u32::MAX), u64::MAX] {
            let pickle = [&[0x8d][..], &length.to_le_bytes()].concat();
            assert_eq!(decode(&pickle), Err(Refusal::Malformed), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            _ = decode(&bytes);
        }

        #[test]
        fn any_order_of_known_operations_is_decoded_or_refused(
            operations in vec(prop::sample::select(&b"}](N\x88\x89K\x01G\x94q\x00h\x00suae."[..]), 0..200),
        ) {
            _ = decode(&[&b"}"[..], &operations, b"."].concat());
        }
    }
}
