//! Names for the simulated hackathon.

use super::simulation::Random;

/// Groups: the first four are divisions, the last is hidden.
pub const GROUPS: [(&str, &str); 5] =
    [("north", "North"), ("east", "East"), ("south", "South"), ("west", "West"), ("staff", "Staff")];

/// Names of the problems.
pub const PROBLEMS: [&str; 12] = [
    "Apple on a Head",
    "Barycentre",
    "Clockwork Moons",
    "Drop Tower",
    "Escape Velocity",
    "Free Fall",
    "Geodesic",
    "Heavy Water",
    "Inertia",
    "Just Orbit",
    "Kepler's Debt",
    "Lagrange Points",
];

/// Colours of the problems.
pub const COLOURS: [&str; 12] = [
    "#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#bcf60c", "#fabebe",
    "#008080", "#9a6324",
];

/// Names of organizations.
pub const ORGANIZATIONS: [&str; 16] = [
    "Newton College",
    "Kepler Institute",
    "University of Perihelion",
    "Lagrange Polytechnic",
    "Tycho Academy",
    "Cassini School",
    "Noether University",
    "Hubble College",
    "Curie Institute",
    "Galilei University",
    "Meitner Polytechnic",
    "Cavendish School",
    "Somerville College",
    "Hypatia University",
    "Aryabhata Institute",
    "Banneker College",
];

const FIRST: [&str; 24] = [
    "Quiet",
    "Rapid",
    "Lazy",
    "Brave",
    "Hidden",
    "Amber",
    "Double",
    "Prime",
    "Binary",
    "Lunar",
    "Solar",
    "Random",
    "Golden",
    "Spinning",
    "Frozen",
    "Electric",
    "Curious",
    "Humble",
    "Atomic",
    "Wandering",
    "Perfect",
    "Silent",
    "Mighty",
    "Sleepy",
];

const SECOND: [&str; 24] = [
    "Otters",
    "Comets",
    "Pointers",
    "Badgers",
    "Quasars",
    "Segfaults",
    "Pandas",
    "Vectors",
    "Lemmas",
    "Ravens",
    "Tensors",
    "Foxes",
    "Orbits",
    "Monads",
    "Turtles",
    "Photons",
    "Kernels",
    "Herons",
    "Graphs",
    "Meteors",
    "Closures",
    "Wolves",
    "Primes",
    "Pulsars",
];

/// A team's name; the number makes it unique.
pub fn team(random: &mut Random, number: u64) -> String {
    let (first, second) = (FIRST[random.below(24) as usize], SECOND[random.below(24) as usize]);
    format!("{first} {second} {number}")
}
