//! How alike two texts are: by ear and by letter.

use strsim::{jaro_winkler, osa_distance};

/// How alike two values are, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    Different,
    Related,
    Near,
    Same,
}

/// From this Jaro–Winkler similarity on two names are spellings of one.
const NEAR: f64 = 0.94;
/// From this one on they may be.
const RELATED: f64 = 0.86;

/// No pair within the edits of [`allowed_edits`] is less alike than this, and most pairs are.
const LEAST: f64 = 0.7;

/// Compares two names by letters.
///
/// One typing error (a letter too many, too few, another, or two neighbours swapped; two of them from eight letters on)
/// or a Jaro–Winkler similarity of .94 is `Near`, one of .86 `Related`.
///
/// Source: Winkler (1990), "String comparator metrics and enhanced decision rules in the Fellegi–Sunter model of record
/// linkage"; the edit distance is Damerau's, restricted to one swap per place (optimal string alignment).
pub(super) fn names(a: &str, b: &str) -> Likeness {
    if a == b {
        return Likeness::Same;
    }
    if most_similar(a, b) < LEAST {
        return Likeness::Different;
    }
    // Jaro's matching is greedy from the first to the second: one order for both.
    let similarity = jaro_winkler(a.min(b), a.max(b));
    if similarity < LEAST {
        return Likeness::Different;
    }
    let shorter = a.chars().count().min(b.chars().count());
    let edits = edits(a, b);
    if similarity >= NEAR || edits <= allowed_edits(shorter) {
        Likeness::Near
    } else if similarity >= RELATED || (edits == 1 && shorter >= 3) {
        Likeness::Related
    } else {
        Likeness::Different
    }
}

/// The Jaro–Winkler similarity that two names have at most, judged by their sets of letters alone.
fn most_similar(a: &str, b: &str) -> f64 {
    let (in_a, in_b) = (letters(a), letters(b));
    let count = |text: &str, set: u64| {
        text.chars().fold((0_u32, 0_u32), |(all, shared), letter| {
            (all + 1, shared + u32::from(set >> (u32::from(letter) % 64) & 1 == 1))
        })
    };
    let ((a_all, a_shared), (b_all, b_shared)) = (count(a, in_b), count(b, in_a));
    let shared = f64::from(a_shared.min(b_shared));
    let jaro = (shared / f64::from(a_all.max(1)) + shared / f64::from(b_all.max(1)) + 1.0) / 3.0;
    let prefix = a.chars().zip(b.chars()).take(4).take_while(|(a, b)| a == b).count();
    if shared == 0.0 { 0.0 } else { jaro + 0.1 * prefix as f64 * (1.0 - jaro) }
}

/// Typing errors between two texts.
pub(super) fn edits(a: &str, b: &str) -> usize {
    osa_distance(a, b)
}

/// How many typing errors leave a text of so many letters recognisable.
pub(super) const fn allowed_edits(chars: usize) -> usize {
    match chars {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

/// Whether at most so many typing errors lie between two texts; cheap where they have little in common.
pub(super) fn within_edits(a: &str, b: &str, most: usize) -> bool {
    if a == b {
        return true;
    }
    // An edit changes the length by at most one, and the set of letters by at most two.
    if a.len().abs_diff(b.len()) > 4 * most || (letters(a) ^ letters(b)).count_ones() as usize > 2 * most {
        return false;
    }
    edits(a, b) <= most
}

/// The set of a text's letters, folded into 64.
fn letters(text: &str) -> u64 {
    text.chars().fold(0, |set, letter| set | 1 << (u32::from(letter) % 64))
}

/// The American Soundex code, a letter and three digits; `None` where a text has no Latin letters.
///
/// Source: Russell (1918), US patent 1,261,167, in the form of the US census (h and w do not part equal codes).
pub(super) fn soundex(text: &str) -> Option<[u8; 4]> {
    let mut letters = text.bytes().filter(u8::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase());
    let first = letters.next()?;
    let mut code = [first, b'0', b'0', b'0'];
    let (mut at, mut last) = (1, digit(first));
    for letter in letters {
        let own = digit(letter);
        if own != b'0' && own != last {
            code[at] = own;
            at += 1;
            if at == code.len() {
                break;
            }
        }
        if !matches!(letter, b'h' | b'w') {
            last = own;
        }
    }
    Some(code)
}

const fn digit(letter: u8) -> u8 {
    match letter {
        b'b' | b'f' | b'p' | b'v' => b'1',
        b'c' | b'g' | b'j' | b'k' | b'q' | b's' | b'x' | b'z' => b'2',
        b'd' | b't' => b'3',
        b'l' => b'4',
        b'm' | b'n' => b'5',
        b'r' => b'6',
        _ => b'0',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soundex_gives_the_codes_of_the_census() {
        let code = |name| String::from_utf8(soundex(name).unwrap().to_vec()).unwrap();
        let names = ["robert", "rupert", "rubin", "ashcraft", "tymczak", "pfister", "honeyman", "lee"];
        assert_eq!(names.map(code), ["r163", "r163", "r150", "a261", "t522", "p236", "h555", "l000"]);
        assert_eq!(soundex("юлия"), None);
    }

    #[test]
    fn a_typo_is_near_and_another_name_is_not() {
        for (a, b) in [("isabella", "isablela"), ("lodder", "loddwr"), ("harrington", "haringotn"), ("emily", "emiily")]
        {
            assert_eq!(names(a, b), Likeness::Near, "{a} {b}");
        }
        for (a, b) in [("nicholas", "emily"), ("luke", "mia"), ("reid", "brain")] {
            assert_eq!(names(a, b), Likeness::Different, "{a} {b}");
        }
    }

    #[test]
    fn no_similarity_exceeds_what_is_taken_for_its_most() {
        let texts = ["", "a", "mia", "martha", "marhta", "dixon", "dicksonx", "straße", "юлия", "aaaa", "amanda"];
        for a in texts {
            for b in texts {
                assert!(jaro_winkler(a, b) <= most_similar(a, b) + 1e-12 || a == b, "{a} {b}");
            }
        }
    }

    #[test]
    fn the_quick_answer_about_edits_is_the_slow_one() {
        let texts = ["", "a", "mill", "hill", "langdon", "langdoneavenue", "gold coast", "straße", "ssartse"];
        for a in texts {
            for b in texts {
                for most in 0..4 {
                    assert_eq!(within_edits(a, b, most), edits(a, b) <= most, "{a} {b} {most}");
                }
            }
        }
    }
}
