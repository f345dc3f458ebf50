//! Plain CSV, with a map of its columns: `COLUMN=FIELD`, where FIELD is what a column of a golden CSV file may be called
//! (`id`, `tags`, `critical`, `notes`, `expect:MATCHER`, or the name of a var), or `-` to leave the column out.

use super::Import;
use super::document::Node;
use super::draft::Draft;
use diagnostics::Problem;
use serde_json::{Value, json};

pub(crate) fn import(import: &mut Import<'_>, columns: &[String], rows: &[Node]) -> Result<(), Problem> {
    let map = import.options.map.clone();
    for (column, field) in &map {
        if !columns.contains(column) {
            let problem = Problem::new(format!("--map names the column `{column}`, and there is none"));
            return Err(problem.did_you_mean(column, columns.iter().map(String::as_str)));
        }
        if let Some(matcher) = field.strip_prefix("expect:")
            && import.matchers.takes_text(matcher).is_none()
        {
            let problem = Problem::new(format!("--map names the matcher `{matcher}`, and there is none"));
            return Err(problem.did_you_mean(matcher, import.matchers.names()));
        }
        if field.is_empty() || ["vars", "expect", "expected", "matcher", "history"].contains(&field.as_str()) {
            return Err(Problem::new(format!("--map {column}={field}: no column can be that"))
                .expected("id, tags, critical, notes, expect:MATCHER, the name of a var, or - to leave it out"));
        }
        if map.iter().filter(|(_, other)| other == field && field != "-").count() > 1 && !field.starts_with("expect:") {
            return Err(Problem::new(format!("--map gives two columns the name `{field}`")));
        }
    }
    if let Some(first) = rows.first() {
        for (column, node) in first.entries() {
            if !map.iter().any(|(mapped, _)| *mapped == column) {
                let message = format!("the column `{column}` is not mapped; --map {column}=- leaves it out on purpose");
                import.findings.lose(&node, message);
            }
        }
    }
    for (number, row) in (1..).zip(rows) {
        let draft = case(import, &map, row, number);
        import.add(draft)?;
    }
    Ok(())
}

fn case(import: &Import<'_>, map: &[(String, String)], row: &Node, number: usize) -> Draft {
    let mut draft = Draft::new(row, format!("row-{number}"));
    for (column, field) in map {
        let Some(node) = row.get(column) else { continue };
        let cell = node.value().as_str().unwrap_or_default();
        match (field.as_str(), field.strip_prefix("expect:")) {
            ("-", _) => {}
            (_, Some(_)) if cell.trim().is_empty() => {}
            (_, Some(matcher)) => check(import, &mut draft, &node, matcher, cell),
            ("id", _) if cell.trim().is_empty() => {}
            ("id", _) => draft.name = cell.to_owned(),
            ("tags", _) => {
                draft.tags.extend(cell.split([',', ';']).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()))
            }
            ("critical", _) => match cell.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => draft.critical = true,
                "false" | "no" | "0" | "" => {}
                _ => draft.lose(&node, "it says neither yes nor no"),
            },
            ("notes", _) if cell.trim().is_empty() => {}
            ("notes", _) => draft.notes.push(cell.to_owned()),
            (var, _) => drop(draft.vars.insert(var.to_owned(), cell.into())),
        }
    }
    draft
}

fn check(import: &Import<'_>, draft: &mut Draft, node: &Node, matcher: &str, cell: &str) {
    let args = match import.matchers.takes_text(matcher) {
        Some(true) => Ok(Value::from(cell)),
        _ => serde_json::from_str(cell).map_err(|_| format!("`{matcher}` needs JSON in its cell")),
    };
    draft.check(node, args.and_then(|args| import.verified(json!({ matcher: args }))));
}
