//! Random tokens and the hashes they are kept as.

use sha2::{Digest, Sha256};

/// A secret that has to be kept in clear, because it is what one signs or asks with. It is not in any `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The secret itself, for the one call that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(none)" } else { "Secret(…)" })
    }
}

/// `prefix` and 32 hexadecimal digits of the operating system's randomness (128 bits).
pub(crate) fn token(prefix: &str) -> String {
    let mut text = String::with_capacity(prefix.len() + 32);
    text.push_str(prefix);
    for byte in random::<16>() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Random bytes of the operating system.
///
/// # Panics
/// When the operating system has no randomness to give: nothing that needs a secret may go on then.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The first half of SHA-256, as an id: for keys that must be the same in every process and need no secrecy.
pub(crate) fn hash_id(parts: &[&[u8]]) -> uuid::Uuid {
    let mut hasher = Sha256::new();
    for part in parts {
        // The length keeps ("ab","c") and ("a","bc") apart.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    uuid::Uuid::from_bytes(half)
}

/// argon2id with its recommended cost, in PHC form.
///
/// # Panics
/// As [`random`]; hashing itself fails only for passwords of 4 GiB.
pub(crate) fn hash_password(password: &str) -> String {
    use argon2::PasswordHasher;
    let salt = random::<16>();
    let hash = argon2::Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.expect("a password can be hashed").to_string()
}

/// Whether the password belongs to the hash; against no hash it takes as long and is wrong.
pub(crate) fn check_password(password: &str, hash: Option<&str>) -> bool {
    use argon2::PasswordVerifier;
    use std::sync::LazyLock;
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash_password("nobody has this password"));
    let parsed = argon2::password_hash::phc::PasswordHash::new(hash.unwrap_or(&NOBODY));
    let right =
        parsed.is_ok_and(|parsed| argon2::Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
    right && hash.is_some()
}

/// Whether two secrets are equal, in a time that tells nothing of where they differ.
pub(crate) fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_not_in_debug() {
        assert!(!format!("{:?}", Secret::new("shpat_0123".into())).contains("shpat"));
    }
}
