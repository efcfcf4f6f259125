//! Looks at an ONNX model before any backend does: whether the file is what it claims to be, and whether a given
//! TensorRT would take it. Each finding names the node, the rule, its source and the fix. Must never panic, nor read
//! for ever, whatever the bytes are. Read next: `rules.toml`, then `rules`.
#![allow(missing_docs, reason = "the messages' fields are onnx.proto's")]

pub mod graph;
pub mod memory;
pub mod onnx;
mod rules;
mod shapes;
pub mod table;

#[cfg(test)]
mod breaking;
#[cfg(test)]
mod build;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub use memory::Memory;
pub use table::{Board, Level, Target, Version, table};

use graph::Graph;

/// One thing that is wrong with a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id in `rules.toml`.
    pub rule: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The node, tensor or file it was found at.
    pub place: String,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub fix: String,
    /// Where the rule comes from.
    pub source: &'static str,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was checked for.
    pub target: Target,
    /// In the order of the rules' groups; errors and warnings.
    pub findings: Vec<Finding>,
    /// The estimate, where the file could be read.
    pub memory: Option<Memory>,
}

impl Report {
    /// True without errors; warnings may be there.
    pub fn passes(&self) -> bool {
        self.findings.iter().all(|f| f.level < Level::Error)
    }

    /// As printed by `till engine check --json`.
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|f| {
                json!({ "rule": f.rule, "level": f.level.as_str(), "place": f.place, "what": f.what, "fix": f.fix,
                    "source": f.source })
            })
            .collect();
        let memory = self.memory.map(|m| {
            json!({ "weights_mib": m.weights >> 20, "activations_mib": m.activations >> 20, "run_mib": m.run >> 20,
                "build_mib": m.build >> 20, "unknown_nodes": m.unknown })
        });
        json!({ "target": self.target.to_string(), "passes": self.passes(), "findings": findings, "memory": memory })
    }
}

/// Collects findings against one target.
struct Checker<'a> {
    target: &'a Target,
    findings: Vec<Finding>,
}

/// A file can break one rule at a million nodes; people read the first ones.
const FINDINGS_MAX: usize = 200;

impl Checker<'_> {
    fn find(&mut self, rule: &'static str, place: impl Into<String>, what: impl Into<String>) {
        self.find_as(rule, None, place, what, None);
    }

    /// With a level or a fix of its own.
    fn find_as(
        &mut self,
        rule: &'static str,
        level: Option<Level>,
        place: impl Into<String>,
        what: impl Into<String>,
        fix: Option<&str>,
    ) {
        let Some(row) = table().rule(rule, self.target.version) else { return };
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                rule,
                level: level.unwrap_or(row.level),
                place: shorten(place.into()),
                what: shorten(what.into()),
                fix: fix.unwrap_or(&row.fix).to_owned(),
                source: &row.source,
            });
        }
    }
}

/// Names come from the file and may be of any length.
fn shorten(mut text: String) -> String {
    const MAX: usize = 300;
    if text.len() > MAX {
        let end = (0..=MAX).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Checks the model in `bytes` for `target`.
pub fn check(bytes: &[u8], target: &Target) -> Report {
    match onnx::read(bytes) {
        Ok(model) => check_model(&model, target),
        Err(what) => {
            let mut checker = Checker { target, findings: Vec::new() };
            checker.find("file", "model", what);
            Report { target: target.clone(), findings: checker.findings, memory: None }
        }
    }
}

/// As [`check`], for a model that was read.
pub fn check_model(model: &onnx::Model, target: &Target) -> Report {
    let mut checker = Checker { target, findings: Vec::new() };
    let mut memory = None;
    if let Some(graph) = &model.graph {
        let graph = Graph::new(model, graph);
        rules::file::check(&mut checker, &graph);
        rules::names::check(&mut checker, &graph);
        rules::tensors::check(&mut checker, &graph);
        rules::operators::check(&mut checker, &graph);
        rules::quantised::check(&mut checker, &graph);
        memory = Some(memory::check(&mut checker, &graph));
    }
    Report { target: target.clone(), findings: checker.findings, memory }
}
