//! Bounds on what partials add up to.

use super::lint::Lint;
use super::text::Text;
use crate::domain::{Place, Problem};
use std::collections::BTreeMap;

/// Partials inside partials.
const MAX_PARTIAL_DEPTH: usize = 32;
/// Blocks and partials inside one another; rendering recurses.
const MAX_DEPTH: usize = 128;
/// Partials in all, counted each time they are included.
const MAX_INCLUSIONS: u64 = 10_000;

type Find<'a, 'f> = dyn Fn(&str) -> Option<(&'a Text, &'a Lint)> + 'f;

/// No partial includes itself, chains of partials are short, nesting is bounded over all of them, and partials that
/// include partials twice, which include partials twice, don't add up to a bomb.
pub(super) fn check<'a>(main: &'a str, find: &Find<'a, '_>) -> Result<(), Problem> {
    let size = size_of(main, find, &mut Vec::new(), &mut BTreeMap::new())?;
    let too_large = if size.inclusions > MAX_INCLUSIONS {
        format!("partials are included more than {MAX_INCLUSIONS} times in all")
    } else if size.depth > MAX_DEPTH {
        format!("blocks and partials are nested more than {MAX_DEPTH} deep")
    } else {
        return Ok(());
    };
    let file = find(main).map(|(text, _)| text.file.clone()).unwrap_or_default();
    Err(Problem::at(Place::file(file), too_large))
}

/// What rendering a template costs, its partials included.
#[derive(Clone, Copy)]
struct Size {
    /// Templates rendered.
    inclusions: u64,
    /// Blocks and partials inside one another.
    depth: usize,
}

fn size_of<'a>(
    name: &'a str,
    find: &Find<'a, '_>,
    path: &mut Vec<&'a str>,
    known: &mut BTreeMap<&'a str, Size>,
) -> Result<Size, Problem> {
    if let Some(size) = known.get(name) {
        return Ok(*size);
    }
    let mut size = Size { inclusions: 1, depth: 0 };
    let Some((_, lint)) = find(name) else { return Ok(size) };
    size.depth = lint.depth;
    path.push(name);
    for inclusion in &lint.partials {
        let partial = inclusion.name.as_str();
        if let Some(start) = path.iter().position(|outer| *outer == partial) {
            let cycle: Vec<&str> = path[start..].iter().copied().chain([partial]).collect();
            return Err(Problem::at(
                inclusion.place.clone(),
                format!("partial `{partial}` includes itself: {}", cycle.join(" → ")),
            ));
        }
        if path.len() > MAX_PARTIAL_DEPTH {
            return Err(Problem::at(
                inclusion.place.clone(),
                format!("partials are included more than {MAX_PARTIAL_DEPTH} deep"),
            ));
        }
        let inner = size_of(partial, find, path, known)?;
        size.inclusions = size.inclusions.saturating_add(inner.inclusions);
        size.depth = size.depth.max(inclusion.depth + 1 + inner.depth);
    }
    path.pop();
    known.insert(name, size);
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Project;

    #[test]
    fn partials_that_include_themselves_are_refused() {
        let project = Project::new(&[
            ("prompts/p.prompt", "{{> a}}"),
            ("prompts/_a.prompt", "a\n{{> b}}"),
            ("prompts/_b.prompt", "{{#if x}}{{> c}}{{/if}}"),
            ("prompts/_c.prompt", "  {{> a}}"),
            ("prompts/self.prompt", "{{> self}}"),
            ("prompts/_self.prompt", "{{#if x}}{{else}}{{> self}}{{/if}}"),
        ]);
        insta::assert_snapshot!(project.refused("p"), @"prompts/_c.prompt:1:7: partial `a` includes itself: a → b → c → a");
        insta::assert_snapshot!(project.refused("self"), @"prompts/_self.prompt:1:22: partial `self` includes itself: self → self");
    }

    #[test]
    fn partials_do_not_add_up_to_a_bomb() {
        let project = Project::new(&[("prompts/p.prompt", "{{> n0}}"), ("prompts/deep.prompt", "{{> d0}}")]);
        for i in 0..31 {
            project.write(&format!("prompts/_n{i}.prompt"), format!("{{{{> n{}}}}}{{{{> n{}}}}}", i + 1, i + 1));
        }
        project.write("prompts/_n31.prompt", "x");
        for i in 0..50 {
            project.write(&format!("prompts/_d{i}.prompt"), format!("{{{{> d{}}}}}", i + 1));
        }
        project.write("prompts/_d50.prompt", "x");
        insta::assert_snapshot!(project.refused("p"), @"prompts/p.prompt: partials are included more than 10000 times in all");
        insta::assert_snapshot!(project.refused("deep"), @"prompts/_d31.prompt:1:5: partials are included more than 32 deep");
    }

    #[test]
    fn nesting_is_bounded_over_all_partials() {
        let project = Project::new(&[("prompts/deepest.prompt", "{{> c0}}"), ("prompts/deeper.prompt", "{{> d0}}")]);
        for (letter, blocks) in [("c", 3), ("d", 4)] {
            for i in 0..30 {
                let text =
                    format!("{}{{{{> {letter}{}}}}}{}", "{{#if x}}".repeat(blocks), i + 1, "{{/if}}".repeat(blocks));
                project.write(&format!("prompts/_{letter}{i}.prompt"), text);
            }
            project.write(&format!("prompts/_{letter}30.prompt"), "y");
        }
        let vars = serde_json::json!({"x": true}).as_object().unwrap().clone();
        let request = project.open("deepest").unwrap().render("m", &vars, &[]).unwrap();
        assert_eq!(request.contents[0].parts, [crate::domain::Part::Text("y".to_owned())]);
        insta::assert_snapshot!(project.refused("deeper"), @"prompts/deeper.prompt: blocks and partials are nested more than 128 deep");
    }
}
