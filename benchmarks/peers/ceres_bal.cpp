// Bundle adjustment by Ceres, for benchmarks/bundle_adjustment.py: reads a plain text problem, solves it on one thread,
// and prints seconds, iterations and final cost.
//
// ceres_bal FILE MODEL LINEAR_SOLVER MIXED TOLERANCE ITERATIONS [K...]   with FILE: cameras points observations; then, by rows,
// camera point measured...; cameras (angle-axis, translation[, f, k1, k2]); points. MODEL is bal, pinhole or stereo.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "ceres/ceres.h"
#include "ceres/rotation.h"

namespace {

double k[5] = {0, 0, 0, 0, 0};

struct Bal {
  double u, v;
  template <typename T>
  bool operator()(const T* camera, const T* point, T* residual) const {
    T p[3];
    ceres::AngleAxisRotatePoint(camera, point, p);
    for (int i = 0; i < 3; ++i) p[i] += camera[3 + i];
    const T x = -p[0] / p[2], y = -p[1] / p[2];
    const T s = x * x + y * y;
    const T gain = camera[6] * (1.0 + s * (camera[7] + camera[8] * s));
    residual[0] = gain * x - u;
    residual[1] = gain * y - v;
    return true;
  }
};

struct Pinhole {
  double u, v;
  template <typename T>
  bool operator()(const T* camera, const T* point, T* residual) const {
    T p[3];
    ceres::AngleAxisRotatePoint(camera, point, p);
    for (int i = 0; i < 3; ++i) p[i] += camera[3 + i];
    residual[0] = k[0] * p[0] / p[2] + k[2] - u;
    residual[1] = k[1] * p[1] / p[2] + k[3] - v;
    return true;
  }
};

struct Stereo {
  double left, right, v;
  template <typename T>
  bool operator()(const T* camera, const T* point, T* residual) const {
    T p[3];
    ceres::AngleAxisRotatePoint(camera, point, p);
    for (int i = 0; i < 3; ++i) p[i] += camera[3 + i];
    residual[0] = k[0] * p[0] / p[2] + k[2] - left;
    residual[1] = k[0] * (p[0] - k[4]) / p[2] + k[2] - right;
    residual[2] = k[1] * p[1] / p[2] + k[3] - v;
    return true;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  const std::string model = argv[2], linear = argv[3];
  for (int i = 7; i < argc && i < 12; ++i) k[i - 7] = std::atof(argv[i]);
  const int size = model == "bal" ? 9 : 6, measured = model == "stereo" ? 3 : 2;
  std::ifstream file(argv[1]);
  int cameras, points, observations;
  file >> cameras >> points >> observations;
  std::vector<int> i(observations), j(observations);
  std::vector<double> seen(observations * measured), camera(cameras * size), point(points * 3);
  for (int o = 0; o < observations; ++o) {
    file >> i[o] >> j[o];
    for (int m = 0; m < measured; ++m) file >> seen[o * measured + m];
  }
  for (double& value : camera) file >> value;
  for (double& value : point) file >> value;
  if (!file) return 3;

  ceres::Problem problem;
  ceres::Solver::Options options;
  auto* ordering = new ceres::ParameterBlockOrdering;
  for (int o = 0; o < observations; ++o) {
    const double* z = &seen[o * measured];
    ceres::CostFunction* cost = nullptr;
    if (model == "bal") cost = new ceres::AutoDiffCostFunction<Bal, 2, 9, 3>(new Bal{z[0], z[1]});
    if (model == "pinhole") cost = new ceres::AutoDiffCostFunction<Pinhole, 2, 6, 3>(new Pinhole{z[0], z[1]});
    if (model == "stereo") cost = new ceres::AutoDiffCostFunction<Stereo, 3, 6, 3>(new Stereo{z[0], z[1], z[2]});
    problem.AddResidualBlock(cost, nullptr, &camera[i[o] * size], &point[j[o] * 3]);
  }
  for (int p = 0; p < points; ++p) ordering->AddElementToGroup(&point[p * 3], 0);
  for (int c = 0; c < cameras; ++c) ordering->AddElementToGroup(&camera[c * size], 1);
  if (!ceres::StringToLinearSolverType(linear, &options.linear_solver_type)) return 4;
  if (linear != "CGNR") options.linear_solver_ordering.reset(ordering);
  if (linear == "CGNR") options.preconditioner_type = ceres::JACOBI;
  options.use_mixed_precision_solves = std::strcmp(argv[4], "mixed") == 0;
  options.max_num_iterations = std::atoi(argv[6]);
  options.function_tolerance = std::atof(argv[5]);
  options.gradient_tolerance = 0;
  options.parameter_tolerance = 0;
  options.num_threads = 1;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  const std::clock_t begin = std::clock();
  ceres::Solve(options, &problem, &summary);
  const double seconds = double(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%.6f %d %.9g\n", seconds, int(summary.iterations.size()) - 1, summary.final_cost);
  return 0;
}
