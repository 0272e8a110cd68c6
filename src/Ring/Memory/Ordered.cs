using System.Runtime.CompilerServices;

namespace VmShunt.Ring.Memory;

/// <summary>
/// Loads and stores of fields that several threads share without a lock. A load acquires: later reads are not moved
/// before it. A store releases: everything written before it is visible to a thread that loads the value. Neither orders a
/// store before a later load; <see cref="Fence.StoreBeforeLoad"/> does. On x86-64 both are plain moves.
/// </summary>
public static class Ordered
{
    /// <summary>Loads with acquire order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Load(ref readonly int field) => Volatile.Read(in field);

    /// <summary>Loads with acquire order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Load(ref readonly long field) => Volatile.Read(in field);

    /// <summary>Loads with acquire order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load(ref readonly bool field) => Volatile.Read(in field);

    /// <summary>Loads a reference with acquire order: the object is seen as it was when the reference was stored.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(ref readonly T field) where T : class? => Volatile.Read(in field);

    /// <summary>Stores with release order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ref int field, int value) => Volatile.Write(ref field, value);

    /// <summary>Stores with release order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ref long field, long value) => Volatile.Write(ref field, value);

    /// <summary>Stores with release order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ref bool field, bool value) => Volatile.Write(ref field, value);

    /// <summary>Stores a reference with release order: a thread that loads it sees the object complete.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(ref T field, T value) where T : class? => Volatile.Write(ref field, value);
}
