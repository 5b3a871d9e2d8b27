//! Puts the revision into the binary for `tudb --version`.

fn main() {
    let revision = std::process::Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown revision".to_owned(), |text| text.trim().to_owned());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    // `HEAD` names the branch; its log grows with each commit and checkout.
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
}
