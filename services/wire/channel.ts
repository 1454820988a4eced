import type { ChannelOptions } from '@grpc/grpc-js';
import { type Address, LIMITS, RondoError } from '@rondo/core';

const SHARED: ChannelOptions = {
  'grpc.max_send_message_length': LIMITS.grpcMessageBytes,
  'grpc.max_receive_message_length': LIMITS.grpcMessageBytes,
  // Both ends ask, so that either notices a peer that is cut off; the answer comes from Node's own HTTP/2. gRPC's timers
  // fire before a held-up event loop has read the answer, hence the long patience: `Silence` is what notices soon.
  'grpc.keepalive_time_ms': LIMITS.pingMs,
  'grpc.keepalive_timeout_ms': LIMITS.pingAnswerMs,
};

export const SERVER_OPTIONS: ChannelOptions = {
  ...SHARED,
  'grpc.max_concurrent_streams': LIMITS.grpcCallsMax,
};

export const CLIENT_OPTIONS: ChannelOptions = {
  ...SHARED,
  'grpc.keepalive_permit_without_calls': 1,
  // Whoever asked retries, with a new epoch; gRPC's own retries would also buffer every frame sent.
  'grpc.enable_retries': 0,
  // A client owns its connection, so that closing it closes the connection.
  'grpc.use_local_subchannel_pool': 1,
  // Workers of one cluster talk directly, whatever proxy the environment names.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
};

/** The host of `host:port` (`[host]:port` for IPv6); undefined when `text` is anything else. */
export function hostIn(text: string): string | undefined {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^:\s/[\]]+):(\d{1,5})$/.exec(text) ?? [];
  return Number(port) > 65535 ? undefined : host;
}

/** The host of `address`. CONFIG_INVALID when it has none. */
export function hostOf(address: Address): string {
  const host = hostIn(address);
  if (host === undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      `'${address}' is no address: expected host:port, such as 127.0.0.1:7001`,
    );
  }
  return host;
}
