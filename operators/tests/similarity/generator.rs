//! Programs, and copies of them that somebody tried to hide: what a detector of plagiarism is measured on. Written before
//! any detector was.
//!
//! Solutions of one problem are independent, but share its boilerplate (reading the input, a main function), as solutions
//! of real problems do, and the idioms that its solution asks for, which everybody writes in much the same way. Copies come in levels, each with what the levels before it do.

use std::fmt::Write;

use gravity_operators::harness::dice::Dice;

/// How a copy was disguised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Comments and white space.
    Layout,
    /// Names, too.
    Names,
    /// The order of functions and of statements that do not depend on each other, too.
    Order,
    /// Numbers changed and statements put in that do nothing, too.
    Padding,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Layout, Level::Names, Level::Order, Level::Padding];
}

/// A name: a variable or function of a program, by number. What it is called is decided when it is written.
type Name = usize;

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Number(i64),
    Var(Name),
    Binary(Box<Expr>, &'static str, Box<Expr>),
    Index(Name, Box<Expr>),
    Call(Name, Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
enum Stmt {
    Set(Name, Expr),
    Put(Name, Expr, Expr),
    For(Name, Expr, Expr, Vec<Stmt>),
    While(Expr, Vec<Stmt>),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Return(Expr),
    Print(Expr),
}

#[derive(Clone, Debug, PartialEq)]
struct Function {
    name: Name,
    parameters: Vec<Name>,
    body: Vec<Stmt>,
}

/// A program before it is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The problem that it solves: its boilerplate.
    problem: u64,
    functions: Vec<Function>,
    names: usize,
}

struct Writer<'a> {
    dice: &'a mut Dice,
    names: usize,
    functions: Vec<(Name, usize)>,
}

impl Writer<'_> {
    fn name(&mut self) -> Name {
        self.names += 1;
        self.names - 1
    }

    fn expr(&mut self, vars: &[Name], depth: u64) -> Expr {
        match self.dice.below(if depth == 0 { 3 } else { 8 }) {
            0 => Expr::Number(self.dice.below(1_000) as i64),
            1 | 2 => Expr::Var(*self.dice.pick(vars)),
            3 => Expr::Index(*self.dice.pick(vars), Box::new(self.expr(vars, depth - 1))),
            4 if !self.functions.is_empty() => {
                let (function, arity) = *self.dice.pick(&self.functions.clone());
                Expr::Call(function, (0..arity).map(|_| self.expr(vars, depth - 1)).collect())
            }
            _ => {
                let operator = *self.dice.pick(&["+", "-", "*", "/", "%", "<", ">", "==", "&&", "<<", "^"]);
                let (left, right) = (self.expr(vars, depth - 1), self.expr(vars, depth - 1));
                Expr::Binary(Box::new(left), operator, Box::new(right))
            }
        }
    }

    fn block(&mut self, vars: &mut Vec<Name>, depth: u64) -> Vec<Stmt> {
        let n = 2 + self.dice.below(5);
        let known = vars.len();
        let block = (0..n).map(|_| self.stmt(vars, depth)).collect();
        vars.truncate(known);
        block
    }

    fn stmt(&mut self, vars: &mut Vec<Name>, depth: u64) -> Stmt {
        match self.dice.below(if depth == 0 { 5 } else { 11 }) {
            0..3 => {
                let value = self.expr(vars, 2);
                let name = if self.dice.chance(60) {
                    let name = self.name();
                    vars.push(name);
                    name
                } else {
                    *self.dice.pick(vars)
                };
                Stmt::Set(name, value)
            }
            3 => Stmt::Put(*self.dice.pick(vars), self.expr(vars, 1), self.expr(vars, 2)),
            4 => Stmt::Print(self.expr(vars, 2)),
            5..8 => {
                let (from, to) = (self.expr(vars, 1), self.expr(vars, 1));
                let counter = self.name();
                vars.push(counter);
                let body = self.block(vars, depth - 1);
                vars.pop();
                Stmt::For(counter, from, to, body)
            }
            8 => Stmt::While(self.expr(vars, 2), self.block(vars, depth - 1)),
            _ => {
                let condition = self.expr(vars, 2);
                let then = self.block(vars, depth - 1);
                let other = if self.dice.chance(40) { self.block(vars, depth - 1) } else { Vec::new() };
                Stmt::If(condition, then, other)
            }
        }
    }
}

/// An independent solution of a problem.
pub fn solution(dice: &mut Dice, problem: u64) -> Program {
    let mut writer = Writer { dice, names: 0, functions: Vec::new() };
    let mut functions = Vec::new();
    for _ in 0..3 + writer.dice.below(4) {
        if writer.dice.chance(35) {
            // An idiom of the problem: the same shape whoever writes it.
            let mut idiom = Dice::new(1_000 + problem * 8 + writer.dice.below(6));
            let mut by_book = Writer { dice: &mut idiom, names: writer.names, functions: Vec::new() };
            let function = by_book.function();
            writer.names = by_book.names;
            writer.functions.push((function.name, function.parameters.len()));
            functions.push(function);
            continue;
        }
        let function = writer.function();
        writer.functions.push((function.name, function.parameters.len()));
        functions.push(function);
    }
    Program { problem, functions, names: writer.names }
}

impl Writer<'_> {
    fn function(&mut self) -> Function {
        let parameters: Vec<Name> = (0..1 + self.dice.below(3)).map(|_| self.name()).collect();
        let name = self.name();
        let mut vars = parameters.clone();
        let mut body = self.block(&mut vars, 2);
        body.push(Stmt::Return(self.expr(&parameters, 1)));
        Function { name, parameters, body }
    }
}

/// A copy of a program's shape, disguised.
pub fn disguised(dice: &mut Dice, program: &Program, level: Level) -> Program {
    let mut copy = program.clone();
    if level >= Level::Order {
        for n in (1..copy.functions.len()).rev() {
            copy.functions.swap(n, dice.below(n as u64 + 1) as usize);
        }
        copy.functions.iter_mut().for_each(|f| reorder(dice, &mut f.body));
    }
    if level >= Level::Padding {
        for function in &mut copy.functions {
            pad(dice, &mut function.body, &mut copy.names);
        }
    }
    copy
}

fn uses(expr: &Expr, out: &mut Vec<Name>) {
    match expr {
        Expr::Number(_) => {}
        Expr::Var(n) => out.push(*n),
        Expr::Index(n, at) => {
            out.push(*n);
            uses(at, out);
        }
        Expr::Binary(a, _, b) => {
            uses(a, out);
            uses(b, out);
        }
        Expr::Call(_, arguments) => arguments.iter().for_each(|a| uses(a, out)),
    }
}

/// Neighbours that set different variables, neither of which the other uses, change places.
fn reorder(dice: &mut Dice, block: &mut [Stmt]) {
    for stmt in block.iter_mut() {
        match stmt {
            Stmt::For(_, _, _, body) | Stmt::While(_, body) => reorder(dice, body),
            Stmt::If(_, then, other) => {
                reorder(dice, then);
                reorder(dice, other);
            }
            _ => {}
        }
    }
    for n in 1..block.len() {
        let (Stmt::Set(a, x), Stmt::Set(b, y)) = (&block[n - 1], &block[n]) else { continue };
        let (mut of_x, mut of_y) = (Vec::new(), Vec::new());
        uses(x, &mut of_x);
        uses(y, &mut of_y);
        if a != b && !of_x.contains(b) && !of_y.contains(a) && dice.chance(70) {
            block.swap(n - 1, n);
        }
    }
}

fn pad(dice: &mut Dice, block: &mut Vec<Stmt>, names: &mut usize) {
    let mut padded = Vec::with_capacity(block.len() + 4);
    for mut stmt in block.drain(..) {
        match &mut stmt {
            Stmt::For(_, _, _, body) | Stmt::While(_, body) => pad(dice, body, names),
            Stmt::If(_, then, other) => {
                pad(dice, then, names);
                if !other.is_empty() {
                    pad(dice, other, names);
                }
            }
            Stmt::Set(_, Expr::Number(n)) => *n += 1,
            _ => {}
        }
        if dice.chance(12) {
            *names += 1;
            padded.push(Stmt::Set(*names - 1, Expr::Number(dice.below(100) as i64)));
        }
        padded.push(stmt);
    }
    *block = padded;
}

const WORDS: [&str; 24] = [
    "count", "total", "left", "right", "node", "edge", "graph", "best", "value", "index", "size", "limit", "cost",
    "path", "queue", "stack", "sum", "prev", "next", "depth", "mask", "prime", "word", "grid",
];

/// The source text of a program, in a C-like language, by somebody of their own habits.
pub fn text(dice: &mut Dice, program: &Program) -> String {
    let short = dice.chance(30);
    let offset = dice.below(WORDS.len() as u64) as usize;
    let name = |n: Name| {
        let word = WORDS[(n * 7 + offset) % WORDS.len()];
        if short { format!("{}{n}", &word[..1]) } else { format!("{word}{n}") }
    };
    let habits = Habits {
        indent: dice.pick::<&str>(&["  ", "    ", "\t"]),
        brace_below: dice.chance(30),
        comments: dice.below(40),
    };
    let mut out = String::from("#include <bits/stdc++.h>\nusing namespace std;\n");
    let _ = writeln!(out, "// problem {}", program.problem);
    let mut pen = Pen { out, dice, habits, name: &name };
    for function in &program.functions {
        let parameters: Vec<String> = function.parameters.iter().map(|p| format!("long long {}", name(*p))).collect();
        pen.open(0, &format!("long long {}({})", name(function.name), parameters.join(", ")));
        pen.block(1, &function.body);
        pen.out.push_str("}\n");
    }
    // What all solutions of a problem read and print alike.
    let mut shared = Dice::new(program.problem);
    let mut main = String::from(
        "int main() {\n  int t;\n  scanf(\"%d\", &t);\n  while (t--) {\n    int n, m;\n    cin >> n >> m;\n",
    );
    for n in 0..4 + shared.below(4) {
        let (word, bound) = (WORDS[shared.below(24) as usize], shared.below(9));
        let _ = writeln!(main, "    vector<int> {word}_{n}(n + {bound});\n    for (auto& x : {word}_{n}) cin >> x;");
    }
    let last = program.functions.last().map_or_else(|| "0".into(), |f| name(f.name));
    let _ = write!(main, "    cout << {last} << endl;\n  }}\n  return 0;\n}}\n");
    pen.out + &main
}

struct Habits {
    indent: &'static str,
    brace_below: bool,
    comments: u64,
}

struct Pen<'a> {
    out: String,
    dice: &'a mut Dice,
    habits: Habits,
    name: &'a dyn Fn(Name) -> String,
}

impl Pen<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        if self.dice.chance(self.habits.comments) {
            let word = *self.dice.pick(&WORDS);
            let _ = writeln!(self.out, "{}// the {word} of it", self.habits.indent.repeat(depth));
        }
        let _ = writeln!(self.out, "{}{text}", self.habits.indent.repeat(depth));
    }

    fn open(&mut self, depth: usize, text: &str) {
        if self.habits.brace_below {
            self.line(depth, text);
            self.line(depth, "{");
        } else {
            self.line(depth, &format!("{text} {{"));
        }
    }

    fn block(&mut self, depth: usize, block: &[Stmt]) {
        for stmt in block {
            match stmt {
                Stmt::Set(n, e) => self.line(depth, &format!("{} = {};", (self.name)(*n), self.expr(e))),
                Stmt::Put(n, at, e) => {
                    self.line(depth, &format!("{}[{}] = {};", (self.name)(*n), self.expr(at), self.expr(e)));
                }
                Stmt::Return(e) => self.line(depth, &format!("return {};", self.expr(e))),
                Stmt::Print(e) => self.line(depth, &format!("cout << {} << \"\\n\";", self.expr(e))),
                Stmt::For(n, from, to, body) => {
                    let n = (self.name)(*n);
                    let (from, to) = (self.expr(from), self.expr(to));
                    self.open(depth, &format!("for (int {n} = {from}; {n} < {to}; {n}++)"));
                    self.block(depth + 1, body);
                    self.line(depth, "}");
                }
                Stmt::While(condition, body) => {
                    let condition = self.expr(condition);
                    self.open(depth, &format!("while ({condition})"));
                    self.block(depth + 1, body);
                    self.line(depth, "}");
                }
                Stmt::If(condition, then, other) => {
                    let condition = self.expr(condition);
                    self.open(depth, &format!("if ({condition})"));
                    self.block(depth + 1, then);
                    if !other.is_empty() {
                        self.open(depth, "} else");
                        self.block(depth + 1, other);
                    }
                    self.line(depth, "}");
                }
            }
        }
    }

    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Number(n) => n.to_string(),
            Expr::Var(n) => (self.name)(*n),
            Expr::Index(n, at) => format!("{}[{}]", (self.name)(*n), self.expr(at)),
            Expr::Binary(a, operator, b) => format!("({} {operator} {})", self.expr(a), self.expr(b)),
            Expr::Call(n, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(|a| self.expr(a)).collect();
                format!("{}({})", (self.name)(*n), arguments.join(", "))
            }
        }
    }
}

/// Two texts, and whether one is a copy of the other.
#[derive(Clone, Debug)]
pub struct Pair {
    pub problem: u64,
    pub left: String,
    pub right: String,
    /// None: independent solutions of the same problem.
    pub copied: Option<Level>,
}

/// Pairs of a seed: of each level and of independent solutions so many.
pub fn pairs(seed: u64, of_each: u64) -> Vec<Pair> {
    let mut dice = Dice::new(seed);
    let mut pairs = Vec::new();
    for n in 0..of_each {
        let problem = n % 20;
        for copied in [None].into_iter().chain(Level::ALL.map(Some)) {
            let original = solution(&mut dice, problem);
            let left = text(&mut dice, &original);
            let right = match copied {
                None => {
                    let other = solution(&mut dice, problem);
                    text(&mut dice, &other)
                }
                Some(Level::Layout) => relaid(&left, &mut dice),
                Some(level) => {
                    let copy = disguised(&mut dice, &original, level);
                    // Nobody who hides a copy leaves the names as they are.
                    let first = |text: &str| text.split("long long ").nth(1).map(str::to_owned);
                    let renamed = |text: &String| first(text) != first(&left);
                    std::iter::repeat_with(|| text(&mut dice, &copy)).find(renamed).unwrap_or_default()
                }
            };
            pairs.push(Pair { problem, left, right, copied });
        }
    }
    pairs
}

/// The same text with other white space and comments.
fn relaid(text: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        if dice.chance(20) {
            let _ = writeln!(out, "/* {} */", dice.pick(&WORDS));
        }
        let _ = writeln!(out, "{}{}", " ".repeat(dice.below(5) as usize), line.trim());
        if dice.chance(15) {
            out.push('\n');
        }
    }
    out
}

/// What every solution of a problem has in common: given to all.
pub fn template(problem: u64) -> String {
    let program = Program { problem, functions: Vec::new(), names: 0 };
    text(&mut Dice::new(problem), &program)
}
