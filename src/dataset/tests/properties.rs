//! Properties: hostile bytes never panic, and what was visited is what streams.

use super::{Golden, RULES, plain};
use crate::dataset::row::{Part, Row, Rows, Spot};
use crate::dataset::{Format, csv, json, jsonl, yaml};
use crate::domain::{Problem, Step};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::BufReader;
use std::ops::ControlFlow;

/// Walks into every row, so that finding places is exercised too.
#[derive(Default)]
struct Counting {
    rows: usize,
    problems: usize,
}

impl Rows for Counting {
    fn row(&mut self, row: Row<'_>) {
        self.rows += 1;
        for path in [
            vec![],
            vec![Step::key("id")],
            vec![Step::key("expect"), Step::Index(0), Step::key("contains")],
            vec![Step::key("vars"), Step::key("q"), Step::Index(1)],
        ] {
            assert!(row.at.find(&path, Part::Key).line >= row.at.start().line);
            assert!(row.at.find(&path, Part::Value).column >= 1);
        }
    }

    fn problem(&mut self, at: Spot, _: Problem) {
        assert!(at.line >= 1 && at.column >= 1);
        self.problems += 1;
    }

    fn is_full(&self) -> bool {
        false
    }
}

const FORMATS: [Format; 4] = [Format::Csv, Format::Jsonl, Format::Json, Format::Yaml];

/// Reads bytes in chunks of a size, so that every border between chunks is met.
fn read(format: Format, bytes: &[u8], chunk: usize) -> (usize, usize) {
    let mut source = BufReader::with_capacity(chunk, bytes);
    let mut counting = Counting::default();
    match format {
        Format::Csv => csv::read(&mut source, &RULES, &mut counting),
        Format::Jsonl => jsonl::read(&mut source, &mut counting),
        Format::Json => json::read(&mut source, &mut counting),
        Format::Yaml => yaml::read(&mut source, &mut counting),
    }
    .unwrap();
    (counting.rows, counting.problems)
}

/// Bytes that come near to files: pieces of their syntax, and noise.
fn near_files() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "id",
        "expect",
        "vars",
        "\"",
        "\"\"",
        ",",
        "\n",
        "\r\n",
        "\r",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\\",
        "\\u12",
        "\t",
        "  ",
        "&a ",
        "*a",
        "<<: *a",
        "? ",
        "| ",
        "!!binary ",
        "---\n",
        "...",
        "1",
        "true",
        "null",
        "ä",
        "\u{feff}",
        "#",
        "'",
        "expect:contains",
        "matcher",
        "critical",
        "{\"id\": 1}",
        "- id: a\n  expect: [b]\n",
    ])
    .prop_map(|piece| piece.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 1..3);
    prop::collection::vec(prop_oneof![9 => pieces, 1 => noise], 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop_oneof![near_files(), prop::collection::vec(any::<u8>(), 0..200)]) {
        for format in FORMATS {
            read(format, &bytes, 64 * 1024);
        }
    }

    #[test]
    fn the_size_of_chunks_changes_nothing(bytes in near_files(), chunk in 1_usize..7) {
        for format in FORMATS {
            prop_assert_eq!(read(format, &bytes, chunk), read(format, &bytes, 64 * 1024));
        }
    }

    #[test]
    fn csv_reads_back_any_cells(cells in prop::collection::vec("(?s).*", 1..20)) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["id", "q", "expected"]).unwrap();
        for (number, cell) in cells.iter().enumerate() {
            writer.write_record([&number.to_string(), cell, "b"]).unwrap();
        }
        let golden = Golden::of(&[]);
        golden.write("a.csv", &writer.into_inner().unwrap());
        let read: Vec<String> = golden.cases().iter().map(|case| case.vars["q"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(read, cells);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cases_are_equal_in_every_format_and_stream_as_they_were_visited(
        texts in prop::collection::vec("[ -~äß€😀\n\r\t]{0,12}", 1..6),
        with_ids in any::<bool>(),
    ) {
        let rows: Vec<Value> = texts.iter().enumerate().map(|(number, text)| {
            let mut row = json!({
                "vars": {"q": text, "n": number.to_string()}, "critical": number % 2 == 0,
                "tags": ["t"], "expect": [{"contains": format!("x{text}")}, {"number": number}],
            });
            if with_ids {
                row["id"] = json!(format!("{number}{text}"));
            }
            row
        }).collect();
        let golden = ["a.csv", "a.jsonl", "a.json", "a.yaml"].map(|name| {
            let golden = Golden::of(&[]);
            golden.write(name, &written(name, &rows));
            golden
        });
        let expected: Vec<Value> = golden[0].cases().iter().map(plain).collect();
        prop_assert_eq!(expected.len(), texts.len());
        for golden in golden {
            let (dataset, visited) = golden.survey();
            prop_assert_eq!(&visited.iter().map(plain).collect::<Vec<_>>(), &expected);
            let mut streamed = Vec::new();
            dataset.unwrap().stream(&RULES, &mut |case| { streamed.push(case); ControlFlow::Continue(()) }).unwrap();
            prop_assert_eq!(streamed, visited);
        }
    }
}

/// The same rows in one of the formats.
fn written(name: &str, rows: &[Value]) -> Vec<u8> {
    match name {
        "a.csv" => {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            writer.write_record(["expect:contains", "id", "tags", "n", "q", "critical", "expect:number"]).unwrap();
            for row in rows {
                let cell = |path: &str| {
                    row.pointer(path)
                        .map_or(String::new(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                };
                let paths =
                    ["/expect/0/contains", "/id", "/tags/0", "/vars/n", "/vars/q", "/critical", "/expect/1/number"];
                writer.write_record(paths.map(cell)).unwrap();
            }
            writer.into_inner().unwrap()
        }
        "a.jsonl" => rows.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes(),
        "a.json" => serde_json::to_vec_pretty(rows).unwrap(),
        // Flow style: JSON is YAML.
        _ => rows.iter().map(|row| format!("- {row}\n")).collect::<String>().into_bytes(),
    }
}
