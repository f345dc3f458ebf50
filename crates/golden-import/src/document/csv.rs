//! CSV as in RFC 4180, read strictly: a quote that is never closed, or text beside a quoted cell, is a mistake.

use super::{Cursor, Tree};
use diagnostics::yaml::{Entry, Node, Places};
use diagnostics::{Problem, Spot};
use serde_json::Map;

struct Cell {
    text: String,
    at: Spot,
}

/// The names of the columns, and the rows as maps.
pub(super) fn read(text: &str) -> Result<(Vec<String>, Vec<Tree>), (Spot, Problem)> {
    let mut rows = rows(text)?.into_iter();
    let header = rows.next().unwrap_or_default();
    let columns: Vec<String> = header.iter().map(|cell| cell.text.trim().to_owned()).collect();
    for (index, name) in columns.iter().enumerate() {
        let message = match name.is_empty() {
            true => "a column has no name",
            false if columns[..index].contains(name) => "a column's name is taken already",
            false => continue,
        };
        let problem = Problem::new(message).expected("a name of its own for every column");
        return Err((header[index].at, problem));
    }
    let trees = rows.map(|row| {
        if row.len() != columns.len() {
            let message = format!("the row has {} cells, and the header {}", row.len(), columns.len());
            let at = row.get(columns.len()).or(row.last()).map_or(Spot::START, |cell| cell.at);
            let expected = "as many cells as the header has, separated by commas";
            return Err((at, Problem::new(message).expected(expected)));
        }
        let start = row.first().map_or(Spot::START, |cell| cell.at);
        let (mut value, mut entries) = (Map::new(), Vec::new());
        for (key, Cell { text, at }) in columns.iter().zip(row) {
            entries.push(Entry { key: key.clone(), key_at: at, value_at: at, inside: Places::Leaf });
            value.insert(key.clone(), text.into());
        }
        Ok((start, Node { value: value.into(), places: Places::Map(entries) }))
    });
    let trees = trees.collect::<Result<_, _>>()?;
    Ok((columns, trees))
}

fn rows(text: &str) -> Result<Vec<Vec<Cell>>, (Spot, Problem)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut cursor = Cursor::new(&text, 1);
    let mut rows = Vec::new();
    while let Some(next) = cursor.peek() {
        if next == '\n' {
            cursor.next();
            continue;
        }
        let mut row = vec![cell(&mut cursor)?];
        while cursor.next() == Some(',') {
            row.push(cell(&mut cursor)?);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Reads up to the comma or line break behind a cell.
fn cell(cursor: &mut Cursor<'_>) -> Result<Cell, (Spot, Problem)> {
    let at = cursor.at;
    let mut text = String::new();
    if cursor.peek() != Some('"') {
        let start = cursor.offset;
        cursor.skip(|c| c == ' ' || c == '\t');
        if cursor.offset > start && cursor.peek() == Some('"') {
            let problem = Problem::new("a blank before the opening quote of a cell");
            return Err((cursor.at, problem.expected("the quote right after the comma")));
        }
        cursor.skip(|c| c != ',' && c != '\n');
        text.push_str(&cursor.text[start..cursor.offset]);
        return Ok(Cell { text, at });
    }
    cursor.next();
    loop {
        match cursor.next() {
            Some('"') if cursor.peek() == Some('"') => text.extend(cursor.next()),
            Some('"') => break,
            Some(c) => text.push(c),
            None => {
                let problem = Problem::new("the quote that opens here is never closed")
                    .expected("a closing `\"` at the end of the cell");
                return Err((at, problem.hint("write a quote inside a quoted cell twice: `\"\"`")));
            }
        }
    }
    if !matches!(cursor.peek(), None | Some(',' | '\n')) {
        let problem = Problem::new("text after the closing quote of a cell").expected("a comma or the end of the line");
        return Err((cursor.at, problem.hint("write a quote inside a quoted cell twice: `\"\"`")));
    }
    Ok(Cell { text, at })
}
