//! `# Cluster`: whether clients must find the node of a key themselves.

use super::{Facts, Field, field};

/// They need not: every node serves every key.
pub(super) fn fields(_: &Facts<'_>) -> Vec<Field> {
    vec![field("cluster_enabled", 0)]
}
