using System.Diagnostics;

namespace VmShunt.Tests.Guest.Kernel.Commands.Shell;

/// <summary>One run of the real vmshunt-guest.</summary>
internal sealed record GuestProgram(int ExitCode, string[] Output, string Errors)
{
    /// <param name="input">The lines of standard input.</param>
    /// <param name="arguments">The arguments.</param>
    internal static GuestProgram Run(IEnumerable<string> input, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "vmshunt-guest"), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var errors = process.StandardError.ReadToEndAsync();
        foreach (var line in input) process.StandardInput.WriteLine(line);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new GuestProgram(process.ExitCode, output.Split('\n', StringSplitOptions.RemoveEmptyEntries), errors.GetAwaiter().GetResult().TrimEnd());
    }
}
