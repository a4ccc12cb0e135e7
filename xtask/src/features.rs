//! The features of a crate, parsed from its manifest.

/// Returns the names under `[features]`, without `default`.
pub(crate) fn features(manifest: &str) -> Vec<&str> {
    let section = manifest
        .lines()
        .skip_while(|line| line.trim() != "[features]")
        .skip(1);
    let section = section.take_while(|line| !line.starts_with('['));
    // A name starts its line; the continuation of a list is indented or closes it.
    let names =
        section.filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    let names = names
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim());
    names.filter(|name| *name != "default").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_but_the_default_is_found() {
        let manifest = "[package]\nname = \"a\"\n\n[features]\ndefault = [\"redis\"]\n## Rooms.\nredis = [\n    \
                        \"dep:redis\",\n]\nweb-sockets = []\n\n[dependencies]\nbytes = \"1\"\n";

        assert_eq!(features(manifest), ["redis", "web-sockets"]);
    }

    #[test]
    fn a_manifest_without_features_has_none() {
        assert!(features("[package]\nname = \"a\"\n").is_empty());
    }
}
