// Adam (Kingma & Ba 2015, algorithm 1) in one pass over memory, as a kernel that XLA calls for each leaf.
// XLA's own program passes three times: for the first moment, the second moment and the parameters.

#include <atomic>
#include <cmath>
#include <cstdint>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

using Input = ffi::Buffer<ffi::F32>;
using Output = ffi::ResultBuffer<ffi::F32>;

constexpr int64_t kAlone = 1 << 15;  // a leaf of fewer elements is not worth waking another thread

static ffi::Error Adam(ffi::ThreadPool pool, Input params, Input mu, Input nu, Input gradients, Input scalars,
                       Output new_params, Output new_mu, Output new_nu) {
  const float *p = params.typed_data(), *m = mu.typed_data(), *v = nu.typed_data(), *g = gradients.typed_data();
  float *next_p = new_params->typed_data(), *next_m = new_mu->typed_data(), *next_v = new_nu->typed_data();
  const float rate = scalars.typed_data()[0];
  const float correction_m = scalars.typed_data()[1], correction_v = scalars.typed_data()[2];

  auto update = [=](int64_t first, int64_t end) {
#pragma GCC ivdep  // outputs are the inputs' own memory: element i depends on element i only
    for (int64_t i = first; i < end; ++i) {
      const float moment = 0.1f * g[i] + 0.9f * m[i];
      const float square = 0.001f * (g[i] * g[i]) + 0.999f * v[i];
      next_m[i] = moment;
      next_v[i] = square;
      next_p[i] = p[i] - rate * ((moment / correction_m) / (std::sqrt(square / correction_v) + 1e-8f));
    }
  };

  const int64_t size = params.element_count();
  const int64_t threads = size < kAlone ? 1 : pool.num_threads();
  std::atomic<int64_t> working(threads - 1);
  for (int64_t thread = 1; thread < threads; ++thread) {
    pool.Schedule([&, thread] {
      update(size * thread / threads, size * (thread + 1) / threads);
      working.fetch_sub(1);
    });
  }
  update(0, size / threads);
  while (working.load() > 0) {
  }
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(AdamInOnePass, Adam,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Input>()
                                  .Arg<Input>()
                                  .Arg<Input>()
                                  .Arg<Input>()
                                  .Arg<Input>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
