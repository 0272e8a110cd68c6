using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Perf.Launch;

/// <summary>A temporary folder for sockets and files; Dispose deletes it.</summary>
internal sealed class WorkFolder : IDisposable
{
    // The size of sun_path, less its terminating zero (unix(7)).
    private const int MaxSocketPathBytes = 107;
    private const int O_DIRECTORY = 0x1_0000, O_CLOEXEC = 0x8_0000, O_PATH = 0x20_0000;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmshunt-");
    private SafeFileHandle? _handle;

    internal string this[string name] => Path.Combine(_folder.FullName, name);

    /// <summary>The path of a socket in the folder: a short one where the folder's own is too long for a socket.</summary>
    internal string Socket(string name)
    {
        if (Encoding.UTF8.GetByteCount(this[name]) <= MaxSocketPathBytes) return this[name];
        // By way of this process's descriptor, which child processes can use, too (proc(5)).
        if (_handle is null && Open(_folder.FullName, O_PATH | O_DIRECTORY | O_CLOEXEC) is var descriptor && descriptor >= 0) _handle = new SafeFileHandle(descriptor, ownsHandle: true);
        return _handle is null ? this[name] : string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{_handle.DangerousGetHandle()}/{name}");
    }

    public void Dispose()
    {
        _handle?.Dispose();
        try
        {
            _folder.Delete(recursive: true);
        }
        catch (IOException)
        {
            // A process that is about to exit has removed a file meanwhile, or made one.
            if (_folder.Exists) _folder.Delete(recursive: true);
        }
    }

    [DllImport("libc", EntryPoint = "open")]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);
}
