/**
 * onnxruntime-node, told to be silent: its builds for Linux and macOS otherwise collect usage data and send it to their
 * maker. The runtime reads the variable when the first session is made. All code takes the runtime from here.
 */
process.env['ORT_DISABLE_TELEMETRY'] = '1';

export { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
