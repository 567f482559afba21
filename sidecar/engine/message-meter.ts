import type { ConnectionsConfig } from '../../policy/bundle/connections.ts';
import type { FrameJudge } from './frame-tracker.ts';

/** What of a WebSocket is counted. */
export type MessageLimits = Pick<ConnectionsConfig, 'messagesPerSecond' | 'maxMessageBytes'>;

/** Why a frame was refused. */
export type MessageRefusal = 'too_many_messages' | 'message_too_big';

const CONTINUATION = 0;
const FIRST_CONTROL = 8;
/** RFC 6455 §5.5: of a control frame. */
const MAX_CONTROL_BYTES = 125;

/**
 * Counts the messages of a client on one WebSocket, by the headers of their frames (RFC 6455 §5.4): the fragments of a message are one,
 * and its size is theirs together, as it is sent, compressed or not. A control frame counts as a message, and so does an empty
 * fragment that is not the last: both cost the application work and carry nothing.
 *
 * At most `messagesPerSecond` + `messagesPerSecond` x t of them pass in any t seconds.
 */
export class MessageMeter implements FrameJudge {
  readonly #perSecond: number;
  readonly #maxBytes: number;
  #left: number;
  /** Milliseconds: when `#left` was right. */
  #at = 0;
  /** Of the message under way. */
  #bytes = 0;
  #refusal: MessageRefusal | null = null;
  readonly #shadow: boolean;

  /** `shadow`: admits everything all the same. */
  constructor({ messagesPerSecond, maxMessageBytes }: MessageLimits, shadow = false) {
    this.#shadow = shadow;
    this.#perSecond = messagesPerSecond ?? Number.POSITIVE_INFINITY;
    this.#maxBytes = maxMessageBytes ?? Number.POSITIVE_INFINITY;
    this.#left = this.#perSecond;
  }

  /** Why the first frame was refused that was; null: none was. */
  get refusal(): MessageRefusal | null {
    return this.#refusal;
  }

  /** `now`: milliseconds that never step back. */
  admits(opcode: number, fin: boolean, length: number, now: number): boolean {
    let refusal: MessageRefusal | null = null;
    const control = opcode >= FIRST_CONTROL;
    if (control) {
      if (length > MAX_CONTROL_BYTES) refusal = 'message_too_big';
    } else {
      this.#bytes = opcode === CONTINUATION ? this.#bytes + length : length;
      if (this.#bytes > this.#maxBytes) refusal = 'message_too_big';
    }
    const counts = control || opcode !== CONTINUATION || (length === 0 && !fin);
    if (counts && !this.#spend(now)) refusal ??= 'too_many_messages';
    this.#refusal ??= refusal;
    return refusal === null || this.#shadow;
  }

  #spend(now: number): boolean {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return true;
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
