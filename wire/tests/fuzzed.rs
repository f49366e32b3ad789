//! The fuzz target's rules on stable Rust: a bounded number of mutations of what shipped trackers send, the same ones in
//! every run. `wire/fuzz/README.md` says how to look further.

#[path = "../fuzz/rules.rs"]
mod rules;

use std::path::Path;
use wire::decode;

/// How many bodies are tried; each is a few hundred bytes, all of them take some seconds unoptimised.
const CASES: usize = 40_000;

/// What means something somewhere in one of the two forms.
const TELLING: &[&[u8]] = &[
    b"\0",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"SEG\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e99",
    b"18446744073709551616",
    b"{\"v\":1",
    b"\"events\":[",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x91\x9f",
];

/// xorshift64*: chance that is the same everywhere and for ever.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    /// A part of `bytes`, of 64 at most.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len() + 1);
        let length = self.below((bytes.len() - start).min(64) + 1);
        &bytes[start..start + length]
    }
}

/// Changes one thing; `other` is another body to borrow from.
fn mutate(body: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let at = chance.below(body.len() + 1);
    let rest = body.len() - at;
    match chance.below(7) {
        0 => body.truncate(at),
        1 if rest > 0 => body[at] ^= 1 << chance.below(8),
        2 if rest > 0 => body[at] = chance.below(256) as u8,
        3 => drop(body.drain(at..at + chance.below(rest.min(32) + 1))),
        4 => drop(body.splice(at..at, chance.part(other).to_vec())),
        5 => drop(body.splice(at..at, TELLING[chance.below(TELLING.len())].to_vec())),
        _ => {
            let telling = TELLING[chance.below(TELLING.len())];
            drop(body.splice(at..at + telling.len().min(rest), telling.to_vec()));
        }
    }
}

/// What shipped trackers send, in the order of the files' names.
fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(folder).expect("the golden files").map(|file| file.expect("a file").path());
    let files: std::collections::BTreeSet<_> = files.collect();
    files.iter().map(|file| std::fs::read(file).expect("a golden file")).collect()
}

#[test]
fn whatever_becomes_of_a_body_on_its_way_is_read_or_refused() {
    let seeds = golden();
    let mut chance = Chance(0x5e67_3e27_5000_0001);
    let (mut whole, mut partly, mut refused) = (0, 0, 0);
    for case in 0..CASES {
        let mut body = seeds[case % seeds.len()].clone();
        for _ in 0..=chance.below(4) {
            mutate(&mut body, &seeds[chance.below(seeds.len())], &mut chance);
        }
        if std::panic::catch_unwind(|| rules::hold(&body)).is_err() {
            panic!("case {case} breaks a rule: {}", body.escape_ascii());
        }
        match decode(&body) {
            Ok(batch) if batch.records.iter().all(Result::is_ok) => whole += 1,
            Ok(_) => partly += 1,
            Err(_) => refused += 1,
        }
    }
    // Mutations that only ever ruin the header would try nothing behind it.
    assert!(whole.min(partly).min(refused) > CASES / 40, "{whole} whole, {partly} in part, {refused} refused");
}
