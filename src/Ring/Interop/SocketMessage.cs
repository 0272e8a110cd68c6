using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace VmShunt.Ring.Interop;

/// <summary>
/// The argument of sendmsg(2) and recvmsg(2) as spans. A message header holds addresses, so it can be filled only while the
/// data is pinned: the generated call pins it through <see cref="Pinned"/> and then asks for the native form.
/// </summary>
/// <param name="header">A local variable of the caller; a received message's control length is in it afterwards.</param>
/// <param name="data">The data, anywhere.</param>
/// <param name="control">Room for control messages on the caller's stack, or empty.</param>
[NativeMarshalling(typeof(Pinned))]
internal readonly ref struct SocketMessage(ref SocketMessage.Header header, ReadOnlySpan<byte> data, Span<byte> control)
{
    private readonly ref Header _header = ref header;
    private readonly ReadOnlySpan<byte> _data = data;
    private readonly Span<byte> _control = control;

    /// <summary><c>struct msghdr</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Header
    {
        public nint Name;
        public uint NameLength;
        public nint Vectors;
        public nuint VectorCount;
        public nint Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary><c>struct cmsghdr</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    [CustomMarshaller(typeof(SocketMessage), MarshalMode.ManagedToUnmanagedIn, typeof(Pinned))]
    internal ref struct Pinned
    {
        private SocketMessage _message;
        private IoVector _vector;

        public void FromManaged(SocketMessage message) => _message = message;

        public readonly ref readonly byte GetPinnableReference() => ref MemoryMarshal.GetReference(_message._data);

        // The data is pinned by now. The rest is on the stack: the caller's header and control, and this struct.
        public nint ToUnmanaged()
        {
            _vector = new IoVector(AddressOf(in GetPinnableReference()), (nuint)_message._data.Length);
            _message._header = new Header
            {
                Vectors = AddressOf(in _vector),
                VectorCount = 1,
                Control = AddressOf(in MemoryMarshal.GetReference(_message._control)),
                ControlLength = (nuint)_message._control.Length,
            };
            return AddressOf(in _message._header);
        }

        public readonly void Free()
        {
        }

        private static nint AddressOf<T>(ref readonly T place) => Unsafe.ByteOffset(in Unsafe.NullRef<T>(), in place);
    }
}
