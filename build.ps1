#!/usr/bin/env pwsh
# What continuous integration does, step by step, for those who prefer PowerShell. See .ci/run.
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot

dotnet restore VmShunt.sln
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet format whitespace VmShunt.sln --no-restore --verify-no-changes
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet format style VmShunt.sln --no-restore --verify-no-changes
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet build VmShunt.sln -c Release --no-restore
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet pack VmShunt.sln -c Release --no-build -o artifacts/packages
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet tool restore
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet docfx docs/api/docfx.json --warningsAsErrors
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet build packaging -c Release
if ($LASTEXITCODE) { exit $LASTEXITCODE }
$env:VMSHUNT_HOST = "$PSScriptRoot/artifacts/native/vmshunt-host"
$env:VMSHUNT_HYPERVISOR = "$PSScriptRoot/artifacts/native/vmshunt-hypervisor"
dotnet test -c Release --no-build
exit $LASTEXITCODE
