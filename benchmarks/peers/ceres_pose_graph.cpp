// A pose graph by Ceres, for benchmarks/pose_graphs.py: reads a plain text problem, solves it on one thread, and prints
// processor seconds, iterations, twice the final cost and whether it converged.
//
// ceres_pose_graph FILE RADIUS   with FILE: dims poses edges; poses (translation, quaternion x y z w or angle); edges
// (from, to, translation, rotation, root W of the information W^T W by rows). RADIUS is that of the first trust region.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <vector>

#include "ceres/ceres.h"
#include "ceres/rotation.h"

namespace {

// Z^-1 (T_i^-1 T_j): its translation, and twice the vector of its quaternion, the angle to second order.
struct Space {
  Eigen::Matrix<double, 6, 6> root;
  Eigen::Vector3d translation;
  Eigen::Quaterniond rotation;
  template <typename T>
  bool operator()(const T* p, const T* q, const T* s, const T* r, T* residual) const {
    using V = Eigen::Matrix<T, 3, 1>;
    const Eigen::Map<const V> from(p), to(s);
    const Eigen::Map<const Eigen::Quaternion<T>> turn(q), end(r);
    const Eigen::Quaternion<T> back = turn.conjugate(), measured = rotation.conjugate().cast<T>();
    const Eigen::Quaternion<T> apart = measured * (back * end);
    Eigen::Matrix<T, 6, 1> error;
    error.template head<3>() = measured * (back * (to - from) - translation.cast<T>());
    error.template tail<3>() = (apart.w() < T(0) ? T(-2) : T(2)) * apart.vec();
    Eigen::Map<Eigen::Matrix<T, 6, 1>> out(residual);
    out = root.cast<T>() * error;
    return true;
  }
};

struct Plane {
  Eigen::Matrix3d root;
  Eigen::Vector2d translation;
  double rotation;
  template <typename T>
  bool operator()(const T* p, const T* q, const T* s, const T* r, T* residual) const {
    const T c = cos(q[0]), n = sin(q[0]), x = s[0] - p[0], y = s[1] - p[1];
    const T u = c * x + n * y - translation[0], v = c * y - n * x - translation[1];
    const double cosine = std::cos(rotation), sine = std::sin(rotation);
    T angle = r[0] - q[0] - rotation;
    angle -= 2 * M_PI * floor((angle + M_PI) / (2 * M_PI));
    const Eigen::Matrix<T, 3, 1> error(cosine * u + sine * v, cosine * v - sine * u, angle);
    Eigen::Map<Eigen::Matrix<T, 3, 1>> out(residual);
    out = root.cast<T>() * error;
    return true;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::ifstream file(argv[1]);
  int dims, poses, edges;
  file >> dims >> poses >> edges;
  const int turn = dims == 3 ? 4 : 1, size = dims == 3 ? 6 : 3;
  std::vector<double> at(poses * dims), turned(poses * turn);
  for (int n = 0; n < poses; ++n) {
    for (int k = 0; k < dims; ++k) file >> at[n * dims + k];
    for (int k = 0; k < turn; ++k) file >> turned[n * turn + k];
  }
  ceres::Problem problem;
  for (int e = 0; e < edges; ++e) {
    int i, j;
    double measured[7], root[36];
    file >> i >> j;
    for (int k = 0; k < dims + turn; ++k) file >> measured[k];
    for (int k = 0; k < size * size; ++k) file >> root[k];
    ceres::CostFunction* cost;
    if (dims == 3) {
      cost = new ceres::AutoDiffCostFunction<Space, 6, 3, 4, 3, 4>(
          new Space{Eigen::Map<Eigen::Matrix<double, 6, 6, Eigen::RowMajor>>(root), Eigen::Vector3d(measured),
                    Eigen::Quaterniond(measured + 3)});
    } else {
      cost = new ceres::AutoDiffCostFunction<Plane, 3, 2, 1, 2, 1>(
          new Plane{Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(root), Eigen::Vector2d(measured),
                    measured[2]});
    }
    problem.AddResidualBlock(cost, nullptr, &at[i * dims], &turned[i * turn], &at[j * dims], &turned[j * turn]);
  }
  if (!file) return 3;
  if (dims == 3)
    for (int n = 0; n < poses; ++n) problem.SetManifold(&turned[n * 4], new ceres::EigenQuaternionManifold);
  problem.SetParameterBlockConstant(&at[0]);
  problem.SetParameterBlockConstant(&turned[0]);
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::SPARSE_NORMAL_CHOLESKY;
  options.initial_trust_region_radius = std::atof(argv[2]);
  options.max_trust_region_radius = 1e32;
  options.min_lm_diagonal = 1e-20;
  options.max_num_iterations = 100;
  options.function_tolerance = 1e-8;
  options.gradient_tolerance = 0;
  options.parameter_tolerance = 0;
  options.num_threads = 1;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  const std::clock_t begin = std::clock();
  ceres::Solve(options, &problem, &summary);
  const double seconds = double(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%.6f %d %.9g %d\n", seconds, int(summary.iterations.size()) - 1, 2 * summary.final_cost,
              summary.termination_type == ceres::CONVERGENCE);
  return 0;
}
