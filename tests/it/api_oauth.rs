//! Access tokens of a configured issuer, with keys that `openssl` makes.

use serde_json::{Value, json};

use crate::api::{keyed, with_file};
use crate::support::{Home, everything_under};

/// A JSON Web Key Set with one key of P-256, and a function that signs claims with it. Made by `openssl`.
fn issuer(home: &Home) -> (Value, impl Fn(&Value, &Value) -> String) {
    let key = home.scratch.path("issuer.pem");
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let path = key.display().to_string();
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &path]);
    // The last 64 bytes of the public key in DER are its two coordinates.
    let public = openssl(&["ec", "-in", &path, "-pubout", "-outform", "DER"]);
    let point = &public[public.len() - 64..];
    let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig",
        "x": base64url(&point[..32]), "y": base64url(&point[32..])}, {"kty": "something new", "kid": "two"}]});
    let place = home.scratch.path("message").display().to_string();
    let sign = move |header: &Value, claims: &Value| {
        let message =
            format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        std::fs::write(&place, &message).unwrap();
        let der = std::process::Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", &path, &place])
            .output()
            .unwrap()
            .stdout;
        format!("{message}.{}", base64url(&fixed(&der)))
    };
    (keys, sign)
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let number = part.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        (0..=part.len()).for_each(|at| text.push(LETTERS[(number >> (18 - 6 * at) & 63) as usize] as char));
    }
    text
}

/// The two numbers of an ECDSA signature in DER, 32 bytes each.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut at = 2;
    let mut both = Vec::new();
    for _ in 0..2 {
        let length = usize::from(der[at + 1]);
        let number = &der[at + 2..at + 2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        both.extend(std::iter::repeat_n(0, 32 - number.len()).chain(number.iter().copied()));
        at += 2 + length;
    }
    both
}

#[test]
fn access_tokens_of_the_configured_issuer_are_accepted() {
    let home = Home::new("oauth");
    let (keys, sign) = issuer(&home);
    std::fs::write(home.scratch.path("jwks.json"), keys.to_string()).unwrap();
    let key = keyed(&home, "", &["a = { KEY }"]).remove(0);
    let file = home.scratch.path("tudb.toml");
    let oauth = format!(
        "{}\n[http.oauth]\nissuer = \"https://id.example.com\"\nresource = \"https://tudb.example.com/mcp\"\njwks_file = \"{}\"\n\
         scope = \"read\"\nuser_claim = \"uid\"\ntools = [\"run_sql\"]",
        std::fs::read_to_string(&file).unwrap(),
        home.scratch.path("jwks.json").display()
    );
    std::fs::write(&file, oauth).unwrap();
    let web = with_file(&home);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"alg": "ES256", "kid": "one", "typ": "at+jwt"});
    let claims = json!({"iss": "https://id.example.com", "aud": "https://tudb.example.com/mcp", "sub": "ann", "uid": "7",
        "exp": now + 600, "scope": "openid read"});
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        changed
    };
    let call = |token: &str| {
        let bearer = format!("Bearer {token}");
        web.post("/api/sql", &[("Authorization", bearer.as_str())], &json!({"sql": "SELECT 1"}))
    };
    let good = sign(&header, &claims);
    assert_eq!(call(&good).status, 200, "{:?}", call(&good));
    assert_eq!(call(&sign(&header, &with("aud", json!(["x", "https://tudb.example.com/mcp"])))).status, 200);
    // Sessions and conversations are found by the name of their subject. A subject that is equal to the shortened name of
    // another one gets a different name.
    assert_eq!(call(&sign(&header, &with("sub", json!("a\nb")))).status, 200);
    let clients = || home.records().into_iter().filter_map(|record| record["client"].as_str().map(str::to_owned));
    let made = clients().find(|client| client.contains("oauth:ab~")).expect("a shortened name");
    let made = made.split("oauth:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(call(&sign(&header, &with("sub", json!(made)))).status, 200);
    let names = clients().filter(|client| client.contains("oauth:ab~"));
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), 2);
    for (token, why) in [
        (sign(&header, &with("iss", json!("https://evil.example.com"))), "another issuer"),
        (sign(&header, &with("aud", json!("https://other.example.com"))), "another resource"),
        (sign(&header, &with("exp", json!(now - 600))), "expired"),
        (sign(&header, &with("nbf", json!(now + 600))), "not yet valid"),
        (sign(&header, &with("uid", Value::Null)), "no user"),
        (sign(&json!({"alg": "ES256", "kid": "two"}), &claims), "another key"),
        (sign(&json!({"alg": "HS256", "kid": "one"}), &claims), "a shared secret"),
        (sign(&json!({"alg": "none", "kid": "one"}), &claims), "no signature"),
        (good[..good.len() - 4].to_owned() + "AAAA", "a changed signature"),
        (good.replace('.', ""), "no token"),
        ("x".repeat(20_000), "too long"),
    ] {
        let refused = call(&token);
        assert_eq!(refused.status, 401, "{why}: {refused:?}");
        assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_token\""), "{why}");
    }
    let narrow = call(&sign(&header, &with("scope", json!("openid"))));
    let challenge = narrow.header("www-authenticate").unwrap();
    assert!(narrow.status == 403 && challenge.contains("insufficient_scope") && challenge.contains("scope=\"read\""));
    // The metadata that a client of MCP follows.
    let challenge = web.get("/api/tables", &[]).header("www-authenticate").unwrap();
    let place = "https://tudb.example.com/.well-known/oauth-protected-resource/mcp";
    assert!(challenge.contains(&format!("resource_metadata=\"{place}\"")), "{challenge}");
    let metadata = web.get("/.well-known/oauth-protected-resource/mcp", &[]).json();
    assert_eq!(metadata["authorization_servers"], json!(["https://id.example.com"]));
    assert_eq!(metadata["resource"], "https://tudb.example.com/mcp");
    // Tools and user of a token are fixed, and API keys still serve.
    let bearer = format!("Bearer {good}");
    assert_eq!(web.get("/api/tables", &[("Authorization", bearer.as_str())]).code(), "forbidden");
    let as_other = json!({"sql": "SELECT 1", "user_id": "8"});
    assert_eq!(web.post("/api/sql", &[("Authorization", bearer.as_str())], &as_other).status, 403);
    assert_eq!(web.get("/api/tables", &[("X-API-Key", key.as_str())]).status, 200);
    let records = home.records();
    assert!(records.iter().any(|record| record["client"] == "oauth:ann" && record["user_id"] == "7"));
    let written = everything_under(&home.scratch.path(".local"));
    assert!(!String::from_utf8_lossy(&written).contains(&good) && !web.stderr.lock().unwrap().contains(&good));
}
