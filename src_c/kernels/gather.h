/* Rows of a mini-batch brought together. */
static void FP(gather)(T *out, const T *x, const int64_t *index, I rows, I n, I out_row, I x_row)
{
    if (n == 1) {
        for (I i = 0; i < rows; i++)
            out[i * out_row] = x[index[i] * x_row];
        return;
    }
    for (I i = 0; i < rows; i++, out += out_row) {
        const T *row = x + index[i] * x_row;
        for (I j = 0; j < n; j += L)
            FP(store_left)(out + j, FP(load_left)(row + j, n - j), n - j);
    }
}
