//! What an expression may take, told in advance.
//!
//! CEL always ends, but `[t, t].map(x, x + x).map(x, x + x)…` doubles a text with each step, so that a line of golden data,
//! which may come from anyone, could fill the memory. So before an expression is evaluated, this bounds from above how
//! many steps it may take with inputs as large as these: how large the value of each part may be, and how long each loop.
//! A step is some tens of nanoseconds: looking at a part of the expression, or at a byte or a value of an input.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

/// The most steps that are taken for one answer: about a second of an optimised build.
pub(super) const MOST_STEPS: f64 = 20e6;

/// Steps for each value and byte that a loop gathers, because it takes memory as well: 20 million steps gather at most 2.5
/// million values.
const GATHERED_STEPS: f64 = 8.0;

/// Steps of a `matches` beside the text's length: its pattern may come from an input, and is then compiled.
const PATTERN_STEPS: f64 = 5_000.0;

/// A bound on the size of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    /// Values in it, itself included: elements of lists, entries of maps, at any depth.
    pub(super) items: f64,
    /// Bytes of all texts in it.
    pub(super) bytes: f64,
}

impl Size {
    /// A number, or true or false.
    const ONE: Size = Size { items: 1.0, bytes: 0.0 };

    fn total(self) -> f64 {
        self.items + self.bytes
    }

    fn and(self, other: Size) -> Size {
        Size { items: self.items + other.items, bytes: self.bytes + other.bytes }
    }

    fn or(self, other: Size) -> Size {
        Size { items: self.items.max(other.items), bytes: self.bytes.max(other.bytes) }
    }

    fn times(self, count: f64) -> Size {
        Size { items: self.items * count, bytes: self.bytes * count }
    }
}

/// How deep the parts of an expression are nested.
pub(super) fn depth(expression: &IdedExpr) -> usize {
    parts(expression).into_iter().map(depth).max().unwrap_or(0) + 1
}

/// A bound on the steps of an expression with inputs of these sizes. May be infinite.
pub(super) fn steps(expression: &IdedExpr, inputs: &[(&str, Size)]) -> f64 {
    let mut sizes: Vec<(String, Size)> = inputs.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    bound(expression, &mut sizes).steps
}

/// What is known of a part's value, and of the way to it.
#[derive(Clone, Copy)]
struct Bound {
    size: Size,
    steps: f64,
}

fn bound(expression: &IdedExpr, sizes: &mut Vec<(String, Size)>) -> Bound {
    match &expression.expr {
        Expr::Unspecified => one_step(Size::ONE),
        Expr::Literal(literal) => one_step(literal_size(literal)),
        Expr::Ident(name) => {
            let known = sizes.iter().rev().find(|(known, _)| known == name);
            one_step(known.map_or(Size::ONE, |(_, size)| *size))
        }
        Expr::Select(select) => {
            let of = bound(&select.operand, sizes);
            let size = if select.test { Size::ONE } else { of.size };
            // A value that was made on the way is copied, one that was there is looked at.
            let copied = if is_path(&select.operand) { 0.0 } else { of.size.total() };
            Bound { size, steps: of.steps + copied + 1.0 }
        }
        Expr::Call(call) => {
            let parts: Vec<Bound> = parts(expression).into_iter().map(|part| bound(part, sizes)).collect();
            call_bound(&call.func_name, &parts)
        }
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
            let parts: Vec<Bound> = parts(expression).into_iter().map(|part| bound(part, sizes)).collect();
            let all = all(&parts);
            Bound { size: all.size.and(Size::ONE), steps: all.steps + all.size.total() + 1.0 }
        }
        Expr::Comprehension(looping) => {
            let range = bound(&looping.iter_range, sizes);
            let start = bound(&looping.accu_init, sizes);
            let rounds = range.size.items;
            let outer = sizes.len();
            sizes.push((looping.iter_var.clone(), range.size));
            if let Some(second) = &looping.iter_var2 {
                sizes.push((second.clone(), range.size));
            }
            // Each round adds to what there is, so that one round on nothing tells how much.
            sizes.push((looping.accu_var.clone(), Size::default()));
            let goes_on = bound(&looping.loop_cond, sizes);
            let round = bound(&looping.loop_step, sizes);
            let gathered = start.size.and(round.size.times(rounds));
            sizes.push((looping.accu_var.clone(), gathered));
            let result = bound(&looping.result, sizes);
            sizes.truncate(outer);
            Bound {
                size: result.size,
                // Every element is copied once.
                steps: range.steps
                    + start.steps
                    + range.size.total()
                    + (rounds + 1.0) * (goes_on.steps + round.steps + 1.0)
                    + GATHERED_STEPS * gathered.total()
                    + result.steps,
            }
        }
    }
}

fn one_step(size: Size) -> Bound {
    Bound { size, steps: 1.0 }
}

fn literal_size(literal: &LiteralValue) -> Size {
    let bytes = match literal {
        LiteralValue::String(text) => text.inner().len(),
        LiteralValue::Bytes(bytes) => bytes.inner().len(),
        LiteralValue::Boolean(_)
        | LiteralValue::Double(_)
        | LiteralValue::Int(_)
        | LiteralValue::Null
        | LiteralValue::UInt(_) => 0,
    };
    Size { items: 1.0, bytes: bytes as f64 }
}

fn all(parts: &[Bound]) -> Bound {
    let none = Bound { size: Size::default(), steps: 0.0 };
    parts.iter().fold(none, |all, part| Bound { size: all.size.and(part.size), steps: all.steps + part.steps })
}

/// A function or an operator of these parts, the target first.
fn call_bound(function: &str, parts: &[Bound]) -> Bound {
    let all = all(parts);
    let least = parts.iter().map(|part| part.size.total()).fold(f64::INFINITY, f64::min);
    let largest = parts.iter().fold(Size::default(), |largest, part| largest.or(part.size));
    let (size, own) = match function {
        "_&&_" | "_||_" | "!_" | "@not_strictly_false" | "-_" => (Size::ONE, 0.0),
        "_?_:_" | "_[_]" | "@listed" | "dyn" => (largest, 0.0),
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => (Size::ONE, least),
        "matches" => (Size::ONE, all.size.total() + PATTERN_STEPS),
        "@in" | "contains" | "startsWith" | "endsWith" | "size" | "type" | "bool" | "int" | "uint" | "double" => {
            (Size::ONE, all.size.total())
        }
        // A number becomes at most some 330 digits.
        "string" | "bytes" => (all.size.and(Size { items: 0.0, bytes: 400.0 }), all.size.total()),
        // `+`, and whatever else there may be.
        _ => (all.size, all.size.total()),
    };
    Bound { size, steps: all.steps + own + 1.0 }
}

/// A name, or a selection from one.
fn is_path(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Ident(_) => true,
        Expr::Select(select) => is_path(&select.operand),
        Expr::Unspecified
        | Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_) => false,
    }
}

/// The expressions within an expression.
pub(super) fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(looping) => {
            vec![&looping.iter_range, &looping.accu_init, &looping.loop_cond, &looping.loop_step, &looping.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(structure) => structure.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
