//! Finding the best parameters: a quasi-Newton method on a handful of unbounded variables.

/// Where the smallest value is.
#[derive(Clone, Debug)]
pub(super) struct Minimum<const N: usize> {
    /// Where it is.
    pub(super) at: [f64; N],
    /// Whether the slope there is nought as far as can be told.
    pub(super) converged: bool,
}

/// Variables stay within this of 0: e¹⁶ of any unit is beyond every shop, and sums of their functions stay finite.
pub(super) const LIMIT: f64 = 16.0;

/// Steps of the finite differences: the third root of the float's precision, times a little for the values' own noise.
const STEP: f64 = 2e-5;

/// The smallest value of `f` near `start`, by BFGS with central differences and a backtracking line search.
///
/// `f` should be of order 1 (a mean over people): the slope that counts as nought is 10⁻⁷. A place where `f` is not
/// finite is never gone to.
pub(super) fn minimise<const N: usize>(start: [f64; N], f: impl Fn(&[f64; N]) -> f64) -> Minimum<N> {
    const MAX_STEPS: usize = 120;
    let mut at = start;
    let mut value = f(&at);
    let mut slope = gradient(&f, &at);
    let mut inverse = identity::<N>();
    let mut fresh = true;
    for _ in 0..MAX_STEPS {
        if norm(&slope) < 1e-7 {
            return Minimum { at, converged: true };
        }
        let mut direction = [0.0; N];
        for i in 0..N {
            direction[i] = -dot(&inverse[i], &slope);
        }
        let mut descent = dot(&direction, &slope);
        if descent >= 0.0 || !descent.is_finite() {
            inverse = identity::<N>();
            direction = slope.map(|s| -s);
            descent = dot(&direction, &slope);
            fresh = true;
        }
        // A step of more than factor e² in a parameter is a leap in the dark.
        let longest = direction.iter().fold(0.0_f64, |longest, d| longest.max(d.abs()));
        let mut length = if longest > 2.0 { 2.0 / longest } else { 1.0 };
        let mut next = None;
        for _ in 0..40 {
            let mut there = at;
            for i in 0..N {
                there[i] = (at[i] + length * direction[i]).clamp(-LIMIT, LIMIT);
            }
            let found = f(&there);
            if found.is_finite() && found <= value + 1e-4 * length * descent {
                next = Some((there, found));
                break;
            }
            length *= 0.4;
        }
        let Some((there, found)) = next else {
            if fresh {
                // Not even straight downhill: this is as low as the values' own noise lets us see.
                return Minimum { at, converged: norm(&slope) < 1e-4 };
            }
            inverse = identity::<N>();
            fresh = true;
            continue;
        };
        let slope_there = gradient(&f, &there);
        let (mut moved, mut turned) = ([0.0; N], [0.0; N]);
        for i in 0..N {
            moved[i] = there[i] - at[i];
            turned[i] = slope_there[i] - slope[i];
        }
        let curvature = dot(&moved, &turned);
        if curvature > 1e-14 {
            if fresh {
                let scale = curvature / dot(&turned, &turned);
                inverse = identity::<N>().map(|row| row.map(|x| x * scale));
            }
            update(&mut inverse, &moved, &turned, curvature);
            fresh = false;
        }
        (at, value, slope) = (there, found, slope_there);
    }
    Minimum { at, converged: norm(&slope) < 1e-5 }
}

/// The BFGS update of the inverse second derivatives (Nocedal & Wright 2006, eq. 6.17).
fn update<const N: usize>(inverse: &mut [[f64; N]; N], moved: &[f64; N], turned: &[f64; N], curvature: f64) {
    let mut product = [0.0; N];
    for i in 0..N {
        product[i] = dot(&inverse[i], turned);
    }
    let scale = (1.0 + dot(turned, &product) / curvature) / curvature;
    for i in 0..N {
        for j in 0..N {
            inverse[i][j] += scale * moved[i] * moved[j] - (product[i] * moved[j] + moved[i] * product[j]) / curvature;
        }
    }
}

fn gradient<const N: usize>(f: &impl Fn(&[f64; N]) -> f64, at: &[f64; N]) -> [f64; N] {
    let mut slope = [0.0; N];
    for i in 0..N {
        let (mut up, mut down) = (*at, *at);
        up[i] += STEP;
        down[i] -= STEP;
        slope[i] = (f(&up) - f(&down)) / (up[i] - down[i]);
    }
    slope
}

/// Second derivatives by central differences.
#[allow(clippy::needless_range_loop, reason = "rows and columns are read and written across")]
pub(super) fn hessian<const N: usize>(at: &[f64; N], f: impl Fn(&[f64; N]) -> f64) -> [[f64; N]; N] {
    // The fourth root of the precision, for second differences.
    const STEP: f64 = 1e-3;
    let moved = |i: usize, a: f64, j: usize, b: f64| {
        let mut there = *at;
        there[i] += a * STEP;
        there[j] += b * STEP;
        f(&there)
    };
    let here = f(at);
    let mut second = [[0.0; N]; N];
    for i in 0..N {
        second[i][i] = (moved(i, 1.0, i, 0.0) - 2.0 * here + moved(i, -1.0, i, 0.0)) / (STEP * STEP);
        for j in 0..i {
            let mixed =
                moved(i, 1.0, j, 1.0) - moved(i, 1.0, j, -1.0) - moved(i, -1.0, j, 1.0) + moved(i, -1.0, j, -1.0);
            second[i][j] = mixed / (4.0 * STEP * STEP);
            second[j][i] = second[i][j];
        }
    }
    second
}

/// The columns of a square root of the inverse of `precision`: adding them to a place moves it by its uncertainty.
///
/// A direction in which the data say nothing (a precision of nought or below) is given the precision `least`.
#[allow(clippy::needless_range_loop, reason = "rows and columns are read and written across")]
pub(super) fn spread<const N: usize>(precision: &[[f64; N]; N], least: f64) -> [[f64; N]; N] {
    // Jacobi's method: N is 4 at most, and eigenvalues are what has to be looked at.
    let mut matrix = *precision;
    let mut vectors = identity::<N>();
    for _ in 0..50 {
        let mut off = 0.0;
        for p in 0..N {
            for q in 0..p {
                off += matrix[p][q] * matrix[p][q];
                if matrix[p][q].abs() < 1e-300 {
                    continue;
                }
                let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..N {
                    let (a, b) = (matrix[k][p], matrix[k][q]);
                    (matrix[k][p], matrix[k][q]) = (c * a - s * b, s * a + c * b);
                }
                for k in 0..N {
                    let (a, b) = (matrix[p][k], matrix[q][k]);
                    (matrix[p][k], matrix[q][k]) = (c * a - s * b, s * a + c * b);
                }
                for row in &mut vectors {
                    let (a, b) = (row[p], row[q]);
                    (row[p], row[q]) = (c * a - s * b, s * a + c * b);
                }
            }
        }
        if off < 1e-20 {
            break;
        }
    }
    let mut columns = [[0.0; N]; N];
    for (i, column) in columns.iter_mut().enumerate() {
        let eigenvalue = if matrix[i][i].is_finite() { matrix[i][i].max(least) } else { least };
        for (k, entry) in column.iter_mut().enumerate() {
            *entry = vectors[k][i] / eigenvalue.sqrt();
        }
    }
    columns
}

fn identity<const N: usize>() -> [[f64; N]; N] {
    let mut matrix = [[0.0; N]; N];
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    matrix
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm<const N: usize>(a: &[f64; N]) -> f64 {
    a.iter().fold(0.0_f64, |most, x| if x.is_finite() { most.max(x.abs()) } else { f64::INFINITY })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bent_valley_is_followed_to_its_end() {
        // Rosenbrock's function.
        let minimum = minimise([-1.2, 1.0], |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2));
        assert!(minimum.converged);
        assert!((minimum.at[0] - 1.0).abs() < 1e-5 && (minimum.at[1] - 1.0).abs() < 1e-5, "{:?}", minimum.at);
    }

    #[test]
    fn a_function_without_a_minimum_ends_at_the_limit() {
        let minimum = minimise([0.0], |[x]| -x);
        assert!(!minimum.converged && minimum.at[0] <= LIMIT, "{:?}", minimum.at);
        let nowhere = minimise([0.0, 0.0], |_| f64::NAN);
        assert_eq!(nowhere.at, [0.0, 0.0]);
    }

    #[test]
    fn the_spread_is_a_root_of_the_inverse() {
        let precision = [[4.0, 1.0], [1.0, 3.0]];
        let columns = spread(&precision, 1e-9);
        let covariance = |i: usize, j: usize| columns.iter().map(|column| column[i] * column[j]).sum::<f64>();
        assert!((covariance(0, 0) - 3.0 / 11.0).abs() < 1e-12);
        assert!((covariance(0, 1) + 1.0 / 11.0).abs() < 1e-12);
        assert!((covariance(1, 1) - 4.0 / 11.0).abs() < 1e-12);
        let found = hessian(&[0.3, -0.2], |[x, y]| 2.0 * x * x + x * y + 1.5 * y * y);
        assert!((found[0][0] - 4.0).abs() < 1e-6 && (found[0][1] - 1.0).abs() < 1e-6, "{found:?}");
    }
}
