# Every declaration of src_c/ that Cython uses. The element type, T in kernels.def, is void here.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "core.h" nogil:
    ctypedef void fp_dense_forward(
        void *a, void *saved, const void *x, const void *w, const void *b, void *scratch,
        ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
        ptrdiff_t a_stride, ptrdiff_t saved_stride, ptrdiff_t x_stride, ptrdiff_t w_stride, int activation,
        const double *hyper) noexcept nogil
    ctypedef void fp_dense_input_gradient(
        void *dx, const void *dz, const void *w, const void *saved, void *scratch,
        ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
        ptrdiff_t dx_stride, ptrdiff_t dz_stride, ptrdiff_t w_stride, ptrdiff_t saved_stride, int activation,
        const double *hyper) noexcept nogil
    ctypedef void fp_dense_weight_gradient(
        void *dw, void *db, const void *x, const void *dz, void *scratch,
        ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
        ptrdiff_t dw_stride, ptrdiff_t x_stride, ptrdiff_t dz_stride, int accumulate) noexcept nogil
    ctypedef void fp_dense_sgd_step(
        void *w, void *dw, void *db, const void *x, const void *dz, void *scratch,
        ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
        ptrdiff_t x_stride, ptrdiff_t dz_stride, int accumulate, double rate, const double *hyper) noexcept nogil
    ctypedef void fp_fused_small_network(
        double *cost, void *gradient, void *work, const void *theta, const void *x, const void *y, const int64_t *label,
        const int64_t *index, const ptrdiff_t *widths, const int *activations, ptrdiff_t layers, ptrdiff_t rows,
        int loss, double scale, const double *hyper) noexcept nogil
    ctypedef void fp_small_network_sgd(
        double *cost, int *steps, void *theta, void *gradient, void *work, const void *x, const void *y,
        const int64_t *label, const int64_t *index, const ptrdiff_t *widths, const int *activations, ptrdiff_t layers,
        ptrdiff_t rows, ptrdiff_t most_steps, int loss, double rate, const double *hyper,
        const double *step_hyper) noexcept nogil
    ctypedef void fp_gather(
        void *out, const void *x, const int64_t *index, ptrdiff_t rows, ptrdiff_t n,
        ptrdiff_t out_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_penalize(void *gradient, const void *theta, ptrdiff_t n, double l1, double l2) noexcept nogil
    ctypedef void fp_clip(void *x, ptrdiff_t n, double limit) noexcept nogil
    ctypedef void fp_shrink(void *x, ptrdiff_t n, double factor) noexcept nogil
    ctypedef void fp_sum_squares(double *sum, const void *x, ptrdiff_t n) noexcept nogil
    ctypedef void fp_average(void *mean, const void *theta, ptrdiff_t n, double weight) noexcept nogil
    ctypedef void fp_max_norm(void *w, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t w_stride, double limit) noexcept nogil
    ctypedef void fp_all_finite(int *ok, const void *x, ptrdiff_t n) noexcept nogil
    ctypedef void fp_row_statistics(
        void *mean, void *rstd, const void *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t x_stride,
        double epsilon) noexcept nogil
    ctypedef void fp_column_statistics(
        void *mean, void *variance, const void *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_scale_forward(
        void *a, const void *x, const void *mean, const void *rstd, const void *gamma, const void *beta,
        ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride, int by_row) noexcept nogil
    ctypedef void fp_scale_gradient(
        void *dgamma, void *dbeta, const void *da, const void *x, const void *mean, const void *rstd, ptrdiff_t rows,
        ptrdiff_t n, ptrdiff_t da_stride, ptrdiff_t x_stride, int by_row, int accumulate) noexcept nogil
    ctypedef void fp_scale_backward(
        void *dx, const void *da, const void *gamma, const void *rstd, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride,
        ptrdiff_t da_stride) noexcept nogil
    ctypedef void fp_layer_norm_backward(
        void *dx, const void *da, const void *x, const void *mean, const void *rstd, const void *gamma,
        ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_batch_norm_backward(
        void *dx, const void *da, const void *x, const void *mean, const void *rstd, const void *gamma,
        const void *dgamma, const void *dbeta, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride, ptrdiff_t da_stride,
        ptrdiff_t x_stride, double batch_rows) noexcept nogil
    ctypedef void fp_softmax_forward(
        void *a, const void *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride,
        int logarithm) noexcept nogil
    ctypedef void fp_softmax_backward(
        void *dx, const void *da, const void *a, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride, ptrdiff_t da_stride,
        ptrdiff_t a_stride, int logarithm) noexcept nogil
    ctypedef void fp_prelu_forward(
        void *a, const void *x, const void *slope, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride,
        ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_prelu_backward(
        void *dx, const void *da, const void *x, const void *slope, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride,
        ptrdiff_t da_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_prelu_gradient(
        void *dslope, const void *da, const void *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t da_stride,
        ptrdiff_t x_stride, int accumulate) noexcept nogil
    ctypedef void fp_dropout(
        void *a, void *saved, const void *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t saved_stride,
        ptrdiff_t x_stride, ptrdiff_t row_offset, double rate, ptrdiff_t key) noexcept nogil
    ctypedef void fp_multiply_rows(
        void *a, const void *x, const void *y, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride,
        ptrdiff_t y_stride) noexcept nogil
    ctypedef void fp_add_rows(
        void *a, const void *x, const void *y, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride, ptrdiff_t x_stride,
        ptrdiff_t y_stride) noexcept nogil
    ctypedef void fp_repeat_rows(
        void *a, const void *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t copies, ptrdiff_t a_stride,
        ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_sum_copies(
        void *dx, const void *da, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t copies, ptrdiff_t dx_stride,
        ptrdiff_t da_stride) noexcept nogil
    ctypedef void fp_select_forward(
        void *a, const void *x, const int64_t *columns, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t a_stride,
        ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_select_backward(
        void *dx, const void *da, const int64_t *columns, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t dx_stride,
        ptrdiff_t da_stride) noexcept nogil
    ctypedef void fp_embed_forward(
        void *a, const void *x, const void *tables, const int64_t *categories, const int64_t *width, ptrdiff_t rows,
        ptrdiff_t n_in, ptrdiff_t a_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_embed_gradient(
        void *dtables, const void *da, const void *x, const int64_t *categories, const int64_t *width, ptrdiff_t rows,
        ptrdiff_t n_in, ptrdiff_t n_tables, ptrdiff_t da_stride, ptrdiff_t x_stride, int accumulate) noexcept nogil
    ctypedef void fp_embed_backward(
        void *dx, const void *da, const int64_t *categories, ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t dx_stride,
        ptrdiff_t da_stride) noexcept nogil
    ctypedef void fp_piecewise_forward(
        void *a, const void *x, const void *edges, const int64_t *bins, ptrdiff_t rows, ptrdiff_t n_in,
        ptrdiff_t a_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_piecewise_backward(
        void *dx, const void *da, const void *x, const void *edges, const int64_t *bins, ptrdiff_t rows,
        ptrdiff_t n_in, ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_piecewise_product(
        void *a, const void *x, const void *edges, const void *w, ptrdiff_t rows, ptrdiff_t bins, ptrdiff_t n_out,
        ptrdiff_t a_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_piecewise_product_gradient(
        void *dw, void *sums, const void *x, const void *dz, const void *edges, ptrdiff_t rows, ptrdiff_t bins,
        ptrdiff_t n_out, ptrdiff_t x_stride, ptrdiff_t dz_stride, int accumulate, int last) noexcept nogil
    ctypedef void fp_periodic_forward(
        void *a, const void *x, const void *frequency, ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_frequencies,
        ptrdiff_t a_stride, ptrdiff_t x_stride) noexcept nogil
    ctypedef void fp_periodic_backward(
        void *dx, const void *da, const void *a, const void *frequency, ptrdiff_t rows, ptrdiff_t n_in,
        ptrdiff_t n_frequencies, ptrdiff_t dx_stride, ptrdiff_t da_stride, ptrdiff_t a_stride) noexcept nogil
    ctypedef void fp_periodic_gradient(
        void *dfrequency, const void *da, const void *a, const void *x, ptrdiff_t rows, ptrdiff_t n_in,
        ptrdiff_t n_frequencies, ptrdiff_t da_stride, ptrdiff_t a_stride, ptrdiff_t x_stride,
        int accumulate) noexcept nogil
    ctypedef void fp_activation_forward(void *a, void *saved, ptrdiff_t n, const double *hyper) noexcept nogil
    ctypedef void fp_activation_backward(void *dz, const void *saved, ptrdiff_t n, const double *hyper) noexcept nogil
    ctypedef void fp_loss(
        double *cost, void *da, const void *a, const void *y, const int64_t *label, const void *weight,
        ptrdiff_t rows, ptrdiff_t n, ptrdiff_t n_y, double scale, const double *hyper) noexcept nogil
    ctypedef void fp_optimizer(
        void *theta, void *state, const void *gradient, ptrdiff_t n, ptrdiff_t stride,
        double rate, const double *hyper) noexcept nogil

    enum:  # of the lists of kernels.def only what the engine names
        FP_HYPER
        FP_MEMORY
        FP_MOST_BINS
        FP_SAVES_OUTPUT
        FP_SAVES_SLOPE
        FP_ACTIVATION_identity
        FP_ACTIVATION_relu
        FP_N_ACTIVATIONS
        FP_N_LOSSES
        FP_OPTIMIZER_sgd
        FP_N_OPTIMIZERS

    ctypedef struct fp_kernels:
        const char *isa
        const char *dtype
        ptrdiff_t size
        ptrdiff_t lanes
        fp_dense_forward *dense_forward
        fp_dense_input_gradient *dense_input_gradient
        fp_dense_weight_gradient *dense_weight_gradient
        fp_dense_sgd_step *dense_sgd_step
        fp_fused_small_network *fused_small_network
        fp_small_network_sgd *small_network_sgd
        fp_gather *gather
        fp_penalize *penalize
        fp_clip *clip
        fp_shrink *shrink
        fp_sum_squares *sum_squares
        fp_average *average
        fp_max_norm *max_norm
        fp_all_finite *all_finite
        fp_row_statistics *row_statistics
        fp_column_statistics *column_statistics
        fp_scale_forward *scale_forward
        fp_scale_gradient *scale_gradient
        fp_scale_backward *scale_backward
        fp_layer_norm_backward *layer_norm_backward
        fp_batch_norm_backward *batch_norm_backward
        fp_softmax_forward *softmax_forward
        fp_softmax_backward *softmax_backward
        fp_prelu_forward *prelu_forward
        fp_prelu_backward *prelu_backward
        fp_prelu_gradient *prelu_gradient
        fp_dropout *dropout
        fp_multiply_rows *multiply_rows
        fp_add_rows *add_rows
        fp_repeat_rows *repeat_rows
        fp_sum_copies *sum_copies
        fp_select_forward *select_forward
        fp_select_backward *select_backward
        fp_embed_forward *embed_forward
        fp_embed_gradient *embed_gradient
        fp_embed_backward *embed_backward
        fp_piecewise_forward *piecewise_forward
        fp_piecewise_backward *piecewise_backward
        fp_piecewise_product *piecewise_product
        fp_piecewise_product_gradient *piecewise_product_gradient
        fp_periodic_forward *periodic_forward
        fp_periodic_backward *periodic_backward
        fp_periodic_gradient *periodic_gradient
        fp_activation_forward **forward
        fp_activation_backward **backward
        fp_loss **loss
        fp_optimizer **optimizer

    ctypedef struct fp_signature:
        const char *name
        const char *kind
        const char *arguments
        size_t offset
    const fp_signature *fp_signatures
    const int *fp_activation_saves

    ctypedef struct fp_isa:
        const char *name
        int (*supported)() noexcept nogil
        const fp_kernels **kernels
    fp_isa *fp_isas
    const fp_isa *fp_select_isa(const char *name) noexcept

    int fp_optimizer_begin(
        int optimizer, double *step_hyper, double *next_memory, const double *memory, const double *hyper) noexcept
    ptrdiff_t fp_label(const int64_t *label, int64_t n) noexcept nogil
    ptrdiff_t fp_category_float(const float *x, int64_t n) noexcept nogil
    ptrdiff_t fp_category_double(const double *x, int64_t n) noexcept nogil
    ctypedef struct fp_cache_sizes:
        ptrdiff_t l1
        ptrdiff_t l2
    fp_cache_sizes fp_caches
    void fp_caches_init() noexcept nogil
    void fp_set_caches(ptrdiff_t l1, ptrdiff_t l2) noexcept nogil
    ptrdiff_t fp_scratch(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t size) noexcept
    void fp_cpu_name(char *name) noexcept
    double fp_clock() noexcept
    void *fp_allocate(size_t size) noexcept
    void fp_free(void *memory) noexcept
    int64_t fp_allocations() noexcept

    ctypedef void fp_task(void *context, int chunk) noexcept nogil
    uint64_t fp_denormals_flush() noexcept
    void fp_denormals_restore(uint64_t state) noexcept
    void fp_threads_init() noexcept
    int fp_forks() noexcept
    int fp_get_num_threads() noexcept
    void fp_set_num_threads(int n) noexcept
    uint64_t fp_work_begin() noexcept
    void fp_work_end(uint64_t state) noexcept
    void fp_yield() noexcept
    void fp_parallel(fp_task *task, void *context, int chunks) noexcept

cdef extern from "atomic.h" nogil:
    int64_t fp_atomic_load(int64_t *x) noexcept
    int64_t fp_atomic_add(int64_t *x, int64_t value) noexcept
    void fp_atomic_store(int64_t *x, int64_t value) noexcept
    bint fp_atomic_compare_exchange(int64_t *x, int64_t old, int64_t value) noexcept

cdef extern from "random.h" nogil:
    enum:
        FP_STREAM_SHUFFLE
        FP_STREAM_DROPOUT
    const uint64_t FP_GOLDEN
    uint64_t fp_mix64(uint64_t x) noexcept
    uint64_t fp_random_key(uint64_t seed, uint64_t stream, uint64_t step) noexcept
    void fp_shuffle(int64_t *order, int64_t begin, int64_t end, uint64_t key) noexcept
