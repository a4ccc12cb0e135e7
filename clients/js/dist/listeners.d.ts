/** A function that ends what the call that returned it began. */
export type Stop = () => void;
/** Reports an error that nobody can catch, as the browser reports any other. */
export declare function report(error: unknown): void;
/** Listeners, which are called in the order in which they were added. */
export declare class Listeners<A extends unknown[]> {
    #private;
    add(call: (...values: A) => void): Stop;
    /** Adds one, and calls it with these values now; an error of this call is the caller's. */
    follow(call: (...values: A) => void, ...values: A): Stop;
    /**
     * Calls all of them; an error of one is reported as uncaught, and the others are called.
     *
     * A call within a listener is made after the current one: all listeners get the same order.
     */
    call(...values: A): void;
}
