//! An edge that answers for the app: the practice edge's own rate limit, met by a load that comes from one address.

use std::path::Path;

use rampup::store::atomic;
use serde_json::Value;

use super::rampup;

/// Users that look and search without the header that gives each an address of its own. The promise is so loose that
/// whatever the shop does keeps it.
const LOAD: &str = r#"
[slo]
p95_ms = 5000
error_percent = 50

[load]
think = "1s"

[steps.1]
users = 25
think = "1s"

[steps.6]
endpoints = []

[[flow]]
name = "search"
weight = 1

[[flow.step]]
name = "home"
get = "/"

[[flow.step]]
name = "search"
get = "/api/search?q={{random 1000 9999}}"
"#;

/// Every check passes and no objective is broken, and yet nothing is proven: the edge answered instead of the shop.
pub fn story(lab: &str) {
    assert_eq!(rampup(&["lab", "climbed", "8", "--lab", lab]).0, 0);
    let (shop, folder) = (Path::new(lab).join("project"), tempfile::tempdir().unwrap());
    let settings = std::fs::read_to_string(shop.join("rampup.toml")).unwrap();
    let site = &settings[..settings.find("[slo]").unwrap()];
    let slow = "slow_endpoints = [\"checkout\"]\n";
    assert!(site.contains(slow));
    atomic::write(&folder.path().join("rampup.toml"), (site.replace(slow, "") + LOAD).as_bytes()).unwrap();
    atomic::write_private(&folder.path().join(".env"), &std::fs::read(shop.join(".env")).unwrap()).unwrap();

    let (code, out) = rampup(&["-C", folder.path().to_str().unwrap(), "run", "1", "--quick", "--json"]);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("{name}: {out}"));
    let (ramp, judged) = (of("ramp_finished"), of("step_judged"));
    let verdict = &ramp["verdict"];
    assert_eq!((code, &verdict["outcome"]), (4, &Value::from("invalid")), "{verdict}");
    let objectives = verdict["objectives"].as_array().unwrap();
    // What is left may be too little to decide: an invalid hold is not extended. Nothing of it is the shop's fault.
    assert!(
        objectives.len() >= 2 && objectives.iter().all(|o| o["outcome"] != "fail"),
        "nothing was broken: {verdict}"
    );
    assert_eq!(
        (&judged["state"], judged["held_by"].as_array().map(Vec::len)),
        (&Value::from("held"), Some(0)),
        "{judged}"
    );
    assert!(ramp["blocked"].as_u64().unwrap() * 10 > ramp["requests"].as_u64().unwrap(), "{ramp}");
    let sentence = verdict["sentence"].as_str().unwrap();
    for words in ["answered by the edge", "allow this machine's address or the test header", "rate limit"] {
        assert!(sentence.contains(words), "{words}: {sentence}");
    }
}
