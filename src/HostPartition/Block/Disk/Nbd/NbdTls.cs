using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>
/// How an NBD connection is encrypted: the server's name, and a folder with <c>ca-cert.pem</c> and, where the server asks for
/// them, <c>client-cert.pem</c> and <c>client-key.pem</c>. Without a folder the system's certificate authorities count.
/// </summary>
/// <param name="HostName">The name in the server's certificate.</param>
/// <param name="Certificates">The folder, or null.</param>
/// <param name="Verifies">Whether the server has to prove its name.</param>
internal sealed record NbdTls(string HostName, string? Certificates, bool Verifies)
{
    private const string AuthorityFile = "ca-cert.pem", CertificateFile = "client-cert.pem", KeyFile = "client-key.pem";

    /// <exception cref="FormatException">A value is invalid.</exception>
    internal static NbdTls Parse(string spec, string host, Dictionary<string, string> query)
    {
        var verify = query.GetValueOrDefault("tls-verify-peer") ?? "true";
        if (verify is not ("true" or "false")) throw new FormatException($"--disk {spec}: tls-verify-peer takes true or false");
        return new NbdTls(host, query.GetValueOrDefault("tls-certificates"), verify == "true");
    }

    /// <summary>Encrypts a connection whose server has agreed to that.</summary>
    /// <exception cref="IOException">The certificates cannot be used, or the server did not prove its name.</exception>
    internal Stream Encrypt(Stream plain, string server)
    {
        var options = new SslClientAuthenticationOptions { TargetHost = HostName };
        var stream = new SslStream(plain, leaveInnerStreamOpen: false);
        try
        {
#pragma warning disable CA5359 // Its user asked for it: tls-verify-peer=false.
            if (!Verifies) options.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
            if (Certificates is { } folder) UseFolder(options, folder);
            stream.AuthenticateAsClient(options);
            return stream;
        }
        catch (Exception e) when (e is AuthenticationException or CryptographicException or UnauthorizedAccessException or FileNotFoundException or DirectoryNotFoundException)
        {
            stream.Dispose();
            throw new IOException($"the connection to the NBD server at {server} cannot be encrypted: {e.Message}", e);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    private static void UseFolder(SslClientAuthenticationOptions options, string folder)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPemFile(Path.Combine(folder, AuthorityFile));
        options.CertificateChainPolicy = policy;
        if (File.Exists(Path.Combine(folder, CertificateFile)))
            options.ClientCertificates = [X509Certificate2.CreateFromPemFile(Path.Combine(folder, CertificateFile), Path.Combine(folder, KeyFile))];
    }
}
