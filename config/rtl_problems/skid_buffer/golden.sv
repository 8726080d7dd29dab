module skid_buffer (
  input  logic       clk,
  input  logic       rst,
  input  logic       in_valid,
  output logic       in_ready,
  input  logic [7:0] in_data,
  output logic       out_valid,
  input  logic       out_ready,
  output logic [7:0] out_data
);
  logic [7:0] oldest, second;
  logic [1:0] count;
  logic       put, take;

  assign in_ready  = count != 2'd2;
  assign out_valid = count != 2'd0;
  assign out_data  = oldest;
  assign put       = in_valid && in_ready;
  assign take      = out_valid && out_ready;

  always_ff @(posedge clk) begin
    if (rst) count <= 2'd0;
    else count <= count + {1'b0, put} - {1'b0, take};

    if (take) oldest <= second;
    if (put) begin
      if (count == 2'd0 || (count == 2'd1 && take)) oldest <= in_data;
      else second <= in_data;
    end
  end
endmodule
