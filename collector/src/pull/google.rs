//! A Google service account: its JSON key, and the access tokens that it is exchanged for.
//!
//! Source: Google, "Using OAuth 2.0 for server to server applications": a JWT signed with RS256 is posted to the token
//! endpoint with the grant type `urn:ietf:params:oauth:grant-type:jwt-bearer`.

use super::PullError;
use super::http::{Body, Client};
use crate::secrets::Secret;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

const HOST: &str = "oauth2.googleapis.com";
const PATH: &str = "/token";
/// The longest that Google allows, in seconds.
const TOKEN_SECONDS: i64 = 3_600;
/// A token is renewed this long before it ends, in seconds.
const EARLIER_SECONDS: i64 = 120;

/// What is used of the key file; its own addresses are not, so that a file cannot lead a key elsewhere.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
}

/// A service account that can sign.
pub(crate) struct ServiceAccount {
    email: String,
    key_id: String,
    key: RsaKeyPair,
    token: Option<(Secret, Timestamp)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

impl ServiceAccount {
    /// Reads a JSON key as Google hands it out.
    ///
    /// # Errors
    /// What is wrong with it; nothing of the key is in it.
    pub(crate) fn read(text: &str) -> Result<ServiceAccount, &'static str> {
        let file: KeyFile = serde_json::from_str(text)
            .map_err(|_| "that is no service account key; give the JSON file that Google made for the account")?;
        let body: String = file
            .private_key
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("-----"))
            .collect();
        let der = STANDARD.decode(body).map_err(|_| "the private key in the JSON file is cut off")?;
        let key = RsaKeyPair::from_pkcs8(&der)
            .map_err(|_| "the private key in the JSON file is no RSA key of 2048 bits or more")?;
        Ok(ServiceAccount { email: file.client_email, key_id: file.private_key_id, key, token: None })
    }

    /// A token for the scope that is good for some minutes at least.
    ///
    /// # Errors
    /// [`PullError`]
    pub(crate) fn token(&mut self, client: &Client, scope: &str, now: Timestamp) -> Result<Secret, PullError> {
        if let Some((token, until)) = &self.token
            && *until > now
        {
            return Ok(token.clone());
        }
        let assertion = self.assertion(scope, now)?;
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", assertion.expose())
            .finish();
        let body = Body { content_type: "application/x-www-form-urlencoded", bytes: form.as_bytes() };
        let answer = client.post(HOST, PATH, &[], &body, now)?;
        let granted: Granted = serde_json::from_value(answer)
            .map_err(|_| PullError::Odd("Google's answer to the key has no access token".to_owned()))?;
        let good = Duration::from_secs(u64::try_from(granted.expires_in - EARLIER_SECONDS).unwrap_or(0));
        let until = now.checked_add(good).unwrap_or(now);
        let token = Secret::new(granted.access_token);
        self.token = Some((token.clone(), until));
        Ok(token)
    }

    /// The signed statement that is exchanged for a token.
    fn assertion(&self, scope: &str, now: Timestamp) -> Result<Secret, PullError> {
        let issued = now.as_second();
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if !self.key_id.is_empty() {
            header["kid"] = self.key_id.as_str().into();
        }
        let claims = json!({
            "iss": self.email,
            "scope": scope,
            "aud": format!("https://{HOST}{PATH}"),
            "iat": issued,
            "exp": issued + TOKEN_SECONDS,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| PullError::Odd("the service account's key cannot sign".to_owned()))?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}
