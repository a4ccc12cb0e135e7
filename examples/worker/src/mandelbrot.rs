//! The work: the pixels of a part of the Mandelbrot set.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The size of a picture in pixels.
pub(crate) const WIDTH: usize = 240;
pub(crate) const HEIGHT: usize = 160;

/// The number of steps after which a point counts as one of the set.
const STEPS: u32 = 3000;

/// The part of the complex plane that a picture shows.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct View {
    /// The centre.
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// The width.
    pub(crate) width: f64,
}

impl View {
    /// Computes the pixels of these rows: 0 for points of the set, otherwise 1 to 255 by the number
    /// of steps after which the point escapes.
    pub(crate) fn pixels(self, rows: Range<usize>) -> Vec<u8> {
        let scale = self.width / WIDTH as f64;
        let places = rows.flat_map(|row| (0..WIDTH).map(move |column| (column, row)));
        let pixel = |(column, row): (usize, usize)| {
            let x = self.x + (column as f64 - WIDTH as f64 / 2.0) * scale;
            let y = self.y + (row as f64 - HEIGHT as f64 / 2.0) * scale;
            match steps_to_escape(x, y) {
                Some(steps) => (steps % 255 + 1) as u8,
                None => 0,
            }
        };
        places.map(pixel).collect()
    }
}

/// Returns after how many steps of `z = z² + c` the point `c` is further than 2 from the origin.
fn steps_to_escape(x: f64, y: f64) -> Option<u32> {
    let (mut real, mut imaginary) = (0.0, 0.0);
    (0..STEPS).find(|_| {
        let square = real * real - imaginary * imaginary;
        (real, imaginary) = (square + x, 2.0 * real * imaginary + y);
        real * real + imaginary * imaginary > 4.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_points_of_the_set_and_others() {
        let whole = View {
            x: -0.5,
            y: 0.0,
            width: 3.0,
        };

        let middle = whole.pixels(HEIGHT / 2..HEIGHT / 2 + 1);

        assert_eq!(middle.len(), WIDTH);
        assert_eq!(middle[WIDTH / 2], 0, "-0.5 belongs to the set");
        assert_eq!(middle[WIDTH - 1], 3, "1 escapes after 3 steps");
    }
}
